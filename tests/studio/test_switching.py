"""Several models in one studio: the menu, another model for the same image, and galleries."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest
from PIL import Image

from geoexplain.explainer.explanation import explain, locate
from geoexplain.locator import registry, zoo
from geoexplain.locator.model import GeoModel
from geoexplain.studio.answer import QUIET, WORDS_EMPTY, answer_payload
from geoexplain.studio.handlers import Handlers
from geoexplain.studio.models import Models
from geoexplain.studio.payload import explanation_payload
from geoexplain.view.export import prediction_record
from tests.explainer.networks import random_model
from tests.locator.models import saved, small_model
from tests.studio.conftest import props

NAME = "random"
"""The model that these studios start with."""


@pytest.fixture(scope="module")
def home(gallery_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with the model "second" of five cells, and "third", which has a gallery."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEOEXPLAIN_HOME", str(home))
        for name, model, gallery in (("second", small_model(), None), ("third", random_model(), gallery_file)):
            folder = tmp_path_factory.mktemp(name)
            saved(model, folder)
            registry.add_model(name, folder, "geoexplain", gallery)
        yield home


@pytest.fixture(scope="module")
def several(home: Path, model: GeoModel) -> Handlers:
    return Handlers(Models(model, device="cpu"), assets_url="gradio_api/file=/assets")


def test_every_model_is_in_the_menu_and_none_of_its_files(several: Handlers, home: Path) -> None:
    rows = props(several.offered())["rows"]
    assert [row["name"] for row in rows if row["ready"]] == [NAME, "earth-views-lite0", "second", "third"]
    assert {row["name"] for row in rows if not row["ready"]} == {row.name for row in zoo.models() if not row.ready}
    assert all(row["note"] for row in rows if not row["ready"])
    assert str(home) not in str(rows)


def test_another_model_answers_for_the_same_image(several: Handlers, image: Image.Image) -> None:
    first, last = several.switch(image, "second")
    assert props(first[1])["status"] == {"state": "locating", "words": "Loading Small <model> …"}
    world, answer, explanation, name = last
    loaded = several.models["second"]
    expected = explain(image, loaded.model)
    assert name == "second"
    assert props(world)["target"] == expected.target
    assert props(answer)["value"] == answer_payload("second", loaded, expected, expected.prediction)
    assert props(answer)["value"]["rule"]["threshold_text"] == "40 %"
    assert props(answer)["value"]["rule"] | {"scale_km": 750, "threshold": 0.4} == props(answer)["value"]["rule"]
    assert props(explanation)["value"] == explanation_payload("second", loaded.model, expected)
    assert props(explanation)["value"]["model"] == "second"


def test_another_model_without_an_image_is_loaded_and_waits(several: Handlers) -> None:
    *_, (world, answer, explanation, name) = several.switch(None, "second")
    assert props(world)["value"] is None
    assert props(answer)["value"] == {"words": WORDS_EMPTY}
    assert props(answer)["status"] == QUIET
    assert props(explanation)["value"] is None
    assert name == "second"


def test_a_gallery_is_searched_on_the_page_and_for_scripts(several: Handlers, image: Image.Image) -> None:
    *_, (world, answer, _, _, _) = several.show(image, None, "third")
    loaded = several.models["third"]
    expected = locate(image, loaded.model, search=loaded.search)
    assert expected.neighbours is not None
    assert len(props(answer)["value"]["search"]["rows"]) == len(expected.neighbours.rows)
    drawn = json.loads(re.search(r'id="geoexplain-data">(.*?)</script>', props(world)["value"]["page"])[1])
    assert drawn["search"]["chosen"] == expected.neighbours.chosen.tolist()
    assert drawn["point"] == pytest.approx([expected.lat_deg, expected.lon_deg], abs=1e-4)
    without = locate(image, loaded.model)
    assert drawn["without"]["point"] == pytest.approx([without.lat_deg, without.lon_deg], abs=1e-4)

    assert several.api_locate(image, "third") == prediction_record("", loaded.model, expected, search=loaded.search)
    assert several.api_locate(image, "third", search=False) == prediction_record("", loaded.model, without)


def test_a_gallery_of_other_embeddings_leaves_an_answer_without_it(
    several: Handlers, image: Image.Image, gallery_file: Path, tmp_path: Path
) -> None:
    saved(several.models["third"].model, tmp_path)
    shutil.copy(gallery_file, tmp_path / "short.h5")
    registry.add_model("short", tmp_path, "geoexplain", tmp_path / "short.h5")
    with h5py.File(gallery_file) as source, h5py.File(tmp_path / "short.h5", "w") as data:
        data["features"], data["labels"] = source["features"][:, :7], source["labels"][:]
    *_, (world, answer, _, _, _) = several.show(image, None, "short")
    registry.remove_model("short")
    shown = props(answer)["value"]
    assert "got 7 by a model it does not name" in shown["search"]["words"]
    assert shown["search"]["rows"] == []
    assert "cell centre" in shown["facts"][0]
    assert '"search":null' in props(world)["value"]["page"]
