"""Photos with known places, a model that counts what goes through its network, and a gallery in lists."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor, nn

from geoexplain.locator.model import GeoModel
from geoexplain.photos import Manifest, read_manifest
from tests.locator.models import small_model

SIZES_PX = ((90, 70), (70, 90), (80, 80), (91, 70))
"""For a network of 64 px: inputs of 82 × 64, 64 × 82, 64 × 64 and 83 × 64 px."""


class Counted(nn.Module):
    """A stem that remembers how many images each pass had."""

    def __init__(self, stem: nn.Module):
        super().__init__()
        self.stem, self.passes = stem, []

    def forward(self, x: Tensor) -> Tensor:
        self.passes.append(len(x))
        return self.stem(x)


def counting_model() -> tuple[GeoModel, list[int]]:
    model = small_model()
    model.backbone.stem = Counted(model.backbone.stem)
    return model, model.backbone.stem.passes


def write_photos(folder: Path, count: int, *, unreadable: tuple[int, ...] = (), missing: int = 0) -> Path:
    """Photos 0.png … in folder/images, and folder/places.csv with their places; return the latter."""
    rng = np.random.default_rng(3)
    images = folder / "images"
    images.mkdir(parents=True)
    rows = [["image", "lat", "lon"]]
    for i in range(count):
        width, height = SIZES_PX[int(rng.integers(len(SIZES_PX)))]
        coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
        coarse.resize((width, height), Image.Resampling.BICUBIC).save(images / f"{i}.png")
        rows.append([f"{i}.png", f"{rng.uniform(-80, 80):.4f}", f"{rng.uniform(-180, 180):.4f}"])
    for i in unreadable:
        (images / f"{i}.png").write_bytes(b"no picture")
    rows += [[f"gone{i}.png", "1", "2"] for i in range(missing)]
    file = folder / "places.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows(rows)
    return file


def manifest_of(file: Path) -> tuple[Manifest, Path]:
    return read_manifest(file, file.parent / "images"), file.parent / "images"


@dataclass(frozen=True, eq=False)
class OnePhotoPerCell:
    """A gallery with one photo in some cells: Search within Cell then answers with its place."""

    places: dict[int, tuple[float, float]]
    dim: int
    model: str | None = None
    name: str = "one each"
    searched: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.places)

    def rows_of(self, cell: int) -> np.ndarray:
        self.searched.append(cell)
        return np.array([list(self.places).index(cell)] if cell in self.places else [], dtype=np.int64)

    def features(self, rows: np.ndarray) -> np.ndarray:
        return np.eye(1, self.dim, dtype=np.float32).repeat(len(rows), axis=0)

    def positions_deg(self, rows: np.ndarray) -> np.ndarray:
        return np.array([list(self.places.values())[row] for row in rows])
