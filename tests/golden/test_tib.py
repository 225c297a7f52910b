"""TIB's format gives back what the original code computed from the same weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from geoexplain.images import Preprocess
from geoexplain.locator.checkpoints.native import describe, load_geoexplain, save_geoexplain
from geoexplain.locator.checkpoints.tib import load_tib
from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import crop_logits, predict
from tests.golden.checkpoints import golden, spec
from tests.golden.golden import image

EXPECTED = golden("semp_b4")
TAG = "320x420"


@pytest.fixture(scope="module")
def original(tib_files: Path) -> GeoModel:
    return load_tib(tib_files, name="golden", device="cpu")


@pytest.fixture(scope="module")
def converted(original: GeoModel, tmp_path_factory: pytest.TempPathFactory) -> GeoModel:
    file = tmp_path_factory.mktemp("converted") / "golden.safetensors"
    save_geoexplain(
        original.network, describe(original), original.partition, file, coarser=original.coarser, half=False
    )
    return load_geoexplain(file, "cpu", hierarchical=True)


@pytest.fixture(scope="module")
def hierarchical(tib_files: Path) -> GeoModel:
    return load_tib(tib_files, name="golden", hierarchical=True, device="cpu")


@pytest.fixture(scope="module")
def crops() -> torch.Tensor:
    picture = Image.fromarray(image(spec("semp_b4")["seed"], 320, 420))
    return Preprocess(size_px=300, max_aspect=8.0, crop_from_px=320).five_crops(picture)


def test_every_partitioning_of_every_crop(original: GeoModel, crops: torch.Tensor) -> None:
    levels = original.head.levels(original.features(crops))
    for level, name in zip(levels, ("coarse", "middle", "fine"), strict=True):
        expected = EXPECTED[f"{TAG}/{name}_probs_5crops"]
        np.testing.assert_allclose(level.softmax(-1).numpy(), expected, rtol=1e-4, atol=1e-4 * expected.max())


def test_the_model_crops_as_the_original(original: GeoModel, crops: torch.Tensor) -> None:
    picture = Image.fromarray(image(spec("semp_b4")["seed"], 320, 420))
    assert torch.equal(original.preprocess.five_crops(picture), crops)


@pytest.mark.parametrize("which", ["hierarchical", "converted"])
@pytest.mark.parametrize("how", ["max", "mean"])
def test_product_along_the_hierarchy(which: str, how: str, crops: torch.Tensor, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(which)
    scores = crop_logits(model, model.features(crops), how)
    expected = EXPECTED[f"{TAG}/hierarchy_{how}"]
    np.testing.assert_allclose(scores.exp().numpy(), expected, rtol=1e-4, atol=1e-4 * expected.max())
    prediction = predict(model, scores)
    assert prediction.cell == int(expected.argmax())
    assert prediction.probabilities == pytest.approx(expected / expected.sum(), rel=1e-3)


def test_the_hierarchy_is_that_of_the_tables(hierarchical: GeoModel) -> None:
    np.testing.assert_array_equal(hierarchical.head.hierarchy.numpy(), EXPECTED["M"])
    assert [len(cells) for cells in hierarchical.coarser] == [19, 7]


def test_the_fine_cells_alone_are_what_was_published_for_semantic_partitionings(
    original: GeoModel, crops: torch.Tensor
) -> None:
    features = original.features(crops[4:])
    expected = EXPECTED[f"{TAG}/fine_probs_5crops"][4]
    assert predict(original, crop_logits(original, features)).probabilities == pytest.approx(expected, rel=1e-3)
    assert predict(original, original.logits(crops[4:])).probabilities == pytest.approx(expected, rel=1e-3)
