"""CERTH's format gives back, number for number, what the original code computed from the same weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from geoexplain.explainer.combine import upsample
from geoexplain.explainer.explanation import Explanation, explain
from geoexplain.explainer.table import stage_maps
from geoexplain.locator.checkpoints.certh import load_certh
from geoexplain.locator.checkpoints.native import describe, load_geoexplain, save_geoexplain
from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import RADII_KM
from tests.golden.checkpoints import golden, spec
from tests.golden.golden import image

SIZES = [(300, 400), (420, 310)]
EXPECTED = golden("certh_b4")


@pytest.fixture(scope="module")
def original(certh_files: Path) -> GeoModel:
    return load_certh(certh_files, name="golden", device="cpu")


@pytest.fixture(scope="module")
def converted(original: GeoModel, tmp_path_factory: pytest.TempPathFactory) -> GeoModel:
    file = tmp_path_factory.mktemp("converted") / "golden.safetensors"
    save_geoexplain(
        original.network, describe(original), original.partition, file, embedder=original.embedder, half=False
    )
    return load_geoexplain(file, "cpu")


@pytest.fixture(scope="module", params=["original", "converted"])
def model(request: pytest.FixtureRequest) -> GeoModel:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module", params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def tag(request: pytest.FixtureRequest) -> str:
    return f"{request.param[0]}x{request.param[1]}"


@pytest.fixture(scope="module")
def explanation(model: GeoModel, tag: str) -> Explanation:
    height, width = map(int, tag.split("x"))
    return explain(Image.fromarray(image(spec("certh_b4")["seed"], height, width)), model)


def close(found: np.ndarray, expected: np.ndarray, relative: float) -> None:
    assert np.abs(found - expected).max() <= relative * np.abs(expected).max()


def test_the_network_sees_the_same_tensor(explanation: Explanation, tag: str) -> None:
    tensor = explanation.tensor[0]
    assert tuple(tensor.shape) == tuple(EXPECTED[f"{tag}/input_shape"])
    assert [tensor.mean(), tensor.std()] == pytest.approx(EXPECTED[f"{tag}/input_chw_mean_std"], abs=1e-4)


def test_features_and_probabilities(explanation: Explanation, tag: str) -> None:
    close(explanation.trace.features[0].numpy(), EXPECTED[f"{tag}/features"], 1e-4)
    expected = EXPECTED[f"{tag}/probs"]
    np.testing.assert_allclose(explanation.prediction.probabilities, expected, rtol=1e-4, atol=1e-4 * expected.max())


def test_embedding(model: GeoModel, explanation: Explanation, tag: str) -> None:
    close(model.embedding(explanation.trace.features)[0].numpy(), EXPECTED[f"{tag}/embedding"], 1e-4)


def test_point_and_prediction_density(explanation: Explanation, tag: str) -> None:
    prediction = explanation.prediction
    assert (prediction.lat_deg, prediction.lon_deg) == pytest.approx(EXPECTED[f"{tag}/prediction"], rel=1e-4)
    density = [prediction.density_by_km[radius] for radius in RADII_KM]
    assert density == pytest.approx(EXPECTED[f"{tag}/prediction_density"], rel=1e-4)
    assert prediction.density == prediction.density_by_km[25]
    assert prediction.localizable == (prediction.density > 0.2)


def test_grad_cam_of_every_block(explanation: Explanation, tag: str) -> None:
    maps = stage_maps(explanation.trace, "grad-cam", "block")
    assert len(maps) == 32
    for found, expected, maximum in zip(
        maps, EXPECTED[f"{tag}/gradcam_blocks_25x25"], EXPECTED[f"{tag}/gradcam_blocks_max"], strict=True
    ):
        values = upsample(found.values, explanation.size_hw)
        assert values.max() == pytest.approx(maximum, rel=1e-3)
        assert np.abs(pooled(values) - expected).max() <= 1e-3 * maximum


def test_combi_cam_as_published(explanation: Explanation, tag: str) -> None:
    values = explanation.combi_cam().values
    scaled = (values - values.min()) / (values.max() - values.min())
    assert np.abs(pooled(scaled) - EXPECTED[f"{tag}/combicam_minmax_25x25"]).max() <= 1e-3


def pooled(values: np.ndarray) -> np.ndarray:
    return F.adaptive_avg_pool2d(torch.from_numpy(values)[None, None], (25, 25))[0, 0].numpy()
