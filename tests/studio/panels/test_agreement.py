"""What the panel of agreement sends, against SciPy; and what it refuses."""

import json
from typing import Any

import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr

from geoexplain.errors import DataError
from geoexplain.explainer.attribution import integrated_gradients
from geoexplain.explainer.explanation import explain
from geoexplain.locator.model import GeoModel
from geoexplain.studio.models import Loaded
from geoexplain.studio.panels.agreement import AGREEMENT
from geoexplain.studio.panels.panel import Question
from tests.explainer.networks import plain_network


def asked(model: GeoModel, image: Image.Image, slow: Any, told: list[Any] | None = None) -> dict[str, Any]:
    question = Question(Loaded(model), image, 3, {"slow": slow})
    heard = [] if told is None else told
    return AGREEMENT.answer(question, lambda *counts: heard.append(counts), lambda: False)


def test_what_takes_longer_takes_part_when_it_is_asked_for(image: Image.Image) -> None:
    generator = torch.Generator().manual_seed(4)
    kernels = [torch.randn(6, 3, 3, 3, generator=generator), torch.randn(5, 6, 3, 3, generator=generator)]
    small = plain_network(kernels, torch.randn(4, 5, generator=generator), rectified=True)
    told: list[Any] = []
    sent = json.loads(json.dumps(asked(small, image, ["integrated-gradients", "score-cam"], told), allow_nan=False))
    assert told[-1][0] == told[-1][1] > 0
    assert sent["names"][-2:] == ["score-cam", "integrated-gradients"]
    assert sent["titles"][-2:] == ["Score-CAM", "Integrated Gradients"]
    explanation = explain(image, small, target=3)
    saliency = integrated_gradients(small, explanation.tensor, 3, "probability").saliency
    expected = spearmanr(saliency.ravel(), explanation.combi_cam().values.ravel()).statistic
    assert sent["rows"][-1][sent["names"].index("combi-cam")] == pytest.approx(expected, abs=1e-6)
    assert asked(small, image, [])["names"] == sent["names"][:-2]


@pytest.mark.parametrize("slow", [None, "score-cam", ["grad-cam"], [["score-cam"]], [1]])
def test_nonsense_is_refused(model: GeoModel, image: Image.Image, slow: Any) -> None:
    with pytest.raises(DataError, match="expected explanations"):
        asked(model, image, slow)
