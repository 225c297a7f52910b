"""What the panel of two cells sends, decoded again; and what it refuses."""

import base64
import json
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.explainer.contrast import contrast
from geoexplain.explainer.explanation import explain
from geoexplain.locator.model import GeoModel
from geoexplain.studio.models import Loaded
from geoexplain.studio.panels.contrast import CONTRAST
from geoexplain.studio.panels.panel import Question
from geoexplain.view.diverging import odds_in_words


def asked(model: GeoModel, image: Image.Image, against: Any, cell: int = 3) -> dict[str, Any]:
    question = Question(Loaded(model), image, cell, {"against": against})
    return CONTRAST.answer(question, lambda done, total: None, lambda: False)


def test_every_map_of_both_cells_is_sent(model: GeoModel, image: Image.Image) -> None:
    sent = json.loads(json.dumps(asked(model, image, 8), allow_nan=False))
    held = contrast(explain(image, model, target=3), model, 8)
    assert (sent["here"]["cell"], sent["there"]["cell"]) == (3, 8)
    assert sent["sentence"] == odds_in_words("cell 3", "cell 8", held.log_odds)
    assert sent["swapped"] == odds_in_words("cell 8", "cell 3", -held.log_odds)
    assert [sent["blocks"][end]["stage"] for end in sent["stage_ends"]] == list(range(1, 8))
    for method, sides in sent["maps"].items():
        for side, explanation in (("here", held.here), ("there", held.there)):
            for text, block, expected in zip(
                sides[side], sent["blocks"], explanation.maps(method, "block"), strict=True
            ):
                values = np.frombuffer(base64.b64decode(text), "<f4").reshape(block["h"], block["w"])
                np.testing.assert_array_equal(values, expected.values)


def test_a_place_is_the_nearest_cell_however_often_the_map_was_turned(model: GeoModel, image: Image.Image) -> None:
    lat, lon = model.partition.centers_deg[9]
    for turns in (-720, 0, 360):
        sent = asked(model, image, {"lat": float(lat), "lng": float(lon) + turns})
        assert sent["there"]["cell"] == 9


@pytest.mark.parametrize("against", [3, 12, -1, {"lat": 91, "lng": 0}, {"lat": 0, "lng": float("inf")}])
def test_what_is_no_other_cell_is_refused(model: GeoModel, image: Image.Image, against: Any) -> None:
    with pytest.raises(DataError, match="expected"):
        asked(model, image, against)


@pytest.mark.parametrize("against", [None, "there", [1], 1.5, {}, {"lat": [], "lng": 0}])
def test_nonsense_is_refused(model: GeoModel, image: Image.Image, against: Any) -> None:
    with pytest.raises(gr.Error, match="number"):
        asked(model, image, against)
