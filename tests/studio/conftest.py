"""One small network for all tests of the studio, random weights, twelve cells; and the same with a gallery."""

from pathlib import Path
from typing import Any

import gradio as gr
import h5py
import numpy as np
import pytest
from PIL import Image

from geoexplain.locator.gallery import open_gallery
from geoexplain.locator.model import GeoModel
from geoexplain.locator.retrieval import SearchWithinCell
from geoexplain.studio.models import Loaded, Models
from tests.explainer.networks import random_model

BESIDE_DEG = 0.5
"""How far north of its cell's centre a cluster of the gallery lies."""


@pytest.fixture(scope="session")
def model() -> GeoModel:
    return random_model()


@pytest.fixture(scope="session")
def models(model: GeoModel) -> Models:
    return Models(model)


@pytest.fixture(scope="session")
def gallery_file(model: GeoModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gallery_of(model, tmp_path_factory.mktemp("gallery") / "photos.h5")


@pytest.fixture(scope="session")
def searching(model: GeoModel, gallery_file: Path) -> Loaded:
    return Loaded(model, SearchWithinCell(open_gallery(gallery_file, model.partition), top_k=4))


@pytest.fixture(scope="session")
def image() -> Image.Image:
    coarse = np.random.default_rng(8).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((80, 96), Image.Resampling.BICUBIC)


def event(**data: Any) -> gr.EventData:
    return gr.EventData(None, data)


def props(update: Any) -> dict[str, Any]:
    """What an update sets; a component that is returned sets what it was made with."""
    if isinstance(update, gr.HTML):
        return dict(update.constructor_args) | update.props
    return update


def write_gallery_of(model: GeoModel, file: Path) -> Path:
    """Per cell four photos: three within some 100 m of each other, half a degree north of the centre, and one on it."""
    rng = np.random.default_rng(5)
    north = np.array([BESIDE_DEG, BESIDE_DEG + 0.001, BESIDE_DEG - 0.001, 0.0])
    cells = len(model.partition)
    offsets = np.stack([np.tile(north, cells), np.zeros(4 * cells)], axis=1)
    positions = np.repeat(model.partition.centers_deg, 4, axis=0) + offsets
    embeddings = rng.normal(size=(4 * cells, model.backbone.feature_dim))
    with h5py.File(file, "w") as data:
        data["features"] = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)
        data["labels"] = positions
    return file
