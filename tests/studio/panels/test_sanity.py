"""The sanity strip as the browser gets it."""

import base64
import io
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.equivalence import Equivalence
from geoexplain.explainer.sanity import sanity_checks
from geoexplain.explainer.tuning_gain import untuned_kinds
from geoexplain.locator.model import GeoModel
from geoexplain.studio.models import Loaded
from geoexplain.studio.panels.panel import Question
from geoexplain.studio.panels.sanity import MOST_DRAWS, VERDICTS, answer, more_draws, thumbnail
from geoexplain.view.overlay import colormap_lut
from tests.explainer.networks import TINY, random_model


@pytest.fixture(scope="module")
def model() -> GeoModel:
    """A tiny network, which is asked a thousand times."""
    return random_model(architecture=TINY)


def ask(model: GeoModel, image: Image.Image, asked: dict[str, Any]) -> dict[str, Any]:
    return answer(Question(Loaded(model), image, 2, asked), lambda _done, _total: None, lambda: False)


def decoded(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def heatmap(values: list[list[float]], *, flat: bool = False) -> Heatmap:
    return Heatmap(np.array(values, np.float32), "grad-cam", 0, "probability", "stage", "sum", (1.0,), flat)


def test_every_explanation_has_its_row_of_maps_and_figures(model: GeoModel, image: Image.Image) -> None:
    found = ask(model, image, {"draws": 5, "colormap": "viridis"})
    assert [row["name"] for row in found["rows"]] == list(untuned_kinds())
    checks = sanity_checks(model, model.tensor(image), 2, draws=5)
    for row in found["rows"]:
        check = checks[row["name"]]
        assert found["steps"] == list(check.steps)
        assert len(row["maps"]) == 1 + len(check.steps)
        left = check.compared.mean_resemblances()
        for text, value in zip(row["resemblances"], left, strict=True):
            assert (
                (text == "–") if np.isnan(value) else float(text.replace("−", "-")) == pytest.approx(value, abs=0.0051)
            )
        assert (row["verdict"], row["words"], row["sentence"]) == (
            check.verdict,
            VERDICTS[check.verdict],
            check.sentence,
        )
        if check.verdict != "none":
            mean, low, high = re.findall(r"−?\d\.\d\d", row["interval"])
            figures = [float(text.replace("−", "-")) for text in (mean, low, high)]
            assert figures == pytest.approx([check.result.mean, check.result.low, check.result.high], abs=0.0051)
    originals = [row["maps"][0] for row in found["rows"] if row["maps"][0]]
    assert len(set(originals)) == len(originals) >= 3
    unsettled = [check.result for check in checks.values() if check.verdict == "too few"]
    assert found["more"] == more_draws(5, unsettled)


def test_as_many_more_draws_are_offered_as_should_tell() -> None:
    def unsettled(more: int | None) -> Equivalence:
        return Equivalence("too few", (), 0.2, 0.0, 0.4, 20, more)

    assert more_draws(20, []) is None
    one = more_draws(20, [unsettled(13)])
    assert one == {
        "draws": 33,
        "label": "Draw 13 more",
        "words": "1 method is not settled. Some 13 more draws should tell for all.",
    }
    both = more_draws(20, [unsettled(13), unsettled(None), unsettled(40), unsettled(81)])
    assert (both["draws"], both["words"]) == (
        60,
        "4 methods are not settled. Some 40 more draws should tell for some.",
    )
    far = more_draws(20, [unsettled(None)])
    assert (far["draws"], far["label"]) == (MOST_DRAWS, "Draw 80 more")
    assert "More than 100 draws are likely to be needed" in far["words"]
    over = more_draws(MOST_DRAWS, [unsettled(3)])
    assert over["draws"] is None
    assert "too near to a border" in over["words"]


def test_a_thumbnail_has_the_colours_of_the_map_or_there_is_none() -> None:
    shown = decoded(thumbnail(heatmap([[0.0, 2.0]]), "viridis"))
    lut = colormap_lut("viridis")
    assert shown.shape == (32, 64, 3)
    assert (shown[:, :32] == lut[0]).all()
    assert (shown[:, 32:] == lut[255]).all()
    assert thumbnail(heatmap([[0.0, 0.0]], flat=True), "viridis") is None


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"draws": 1, "colormap": "viridis"},
        {"draws": 4, "colormap": "viridis"},
        {"draws": 101, "colormap": "viridis"},
        {"draws": 5.0, "colormap": "viridis"},
        {"draws": True, "colormap": "viridis"},
        {"draws": 5, "colormap": "<b>"},
        {"draws": 5, "colormap": ["viridis"]},
    ],
    ids=str,
)
def test_what_the_page_does_not_offer_is_refused(model: GeoModel, image: Image.Image, asked: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        ask(model, image, asked)
