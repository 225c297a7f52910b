"""The sanity strip as the browser gets it."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.sanity import SANITY_CANDIDATES, sanity_checks
from geoexplain.locator.model import GeoModel
from geoexplain.studio.models import Loaded
from geoexplain.studio.panels.panel import Question
from geoexplain.studio.panels.sanity import VERDICTS, answer, thumbnail
from geoexplain.view.overlay import colormap_lut


def ask(model: GeoModel, image: Image.Image, asked: dict[str, Any]) -> dict[str, Any]:
    return answer(Question(Loaded(model), image, 2, asked), lambda _done, _total: None, lambda: False)


def decoded(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def heatmap(values: list[list[float]], *, flat: bool = False) -> Heatmap:
    return Heatmap(np.array(values, np.float32), "grad-cam", 0, "probability", "stage", "sum", (1.0,), flat)


def test_every_explanation_has_its_row_of_maps_and_figures(model: GeoModel, image: Image.Image) -> None:
    found = ask(model, image, {"draws": 3, "colormap": "viridis"})
    assert [row["name"] for row in found["rows"]] == list(SANITY_CANDIDATES)
    checks = sanity_checks(model, model.tensor(image), 2, draws=3)
    for row in found["rows"]:
        check = checks[row["name"]]
        assert found["steps"] == list(check.steps)
        assert len(row["maps"]) == 1 + len(check.steps)
        expected = [None if np.isnan(value) else pytest.approx(value) for value in check.mean_correlations()]
        assert row["correlations"] == expected
        assert (row["verdict"], row["words"], row["sentence"]) == (
            check.verdict,
            VERDICTS[check.verdict],
            check.sentence,
        )
    originals = [row["maps"][0] for row in found["rows"] if row["maps"][0]]
    assert len(set(originals)) == len(originals) >= 3


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
        {"draws": 3.0, "colormap": "viridis"},
        {"draws": 3, "colormap": "<b>"},
        {"draws": 3, "colormap": ["viridis"]},
    ],
    ids=str,
)
def test_what_the_page_does_not_offer_is_refused(model: GeoModel, image: Image.Image, asked: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        ask(model, image, asked)
