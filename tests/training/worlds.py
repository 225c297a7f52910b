"""Sources of a world where colour tells the place: photos of flat colours, some of them unreadable, and views."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from geoexplain.errors import ImageError
from geoexplain.geography.partition import Partition
from geoexplain.geography.partitioning import Partitioning
from geoexplain.geography.sphere import unit_vectors
from geoexplain.imagery.earth import Imagery, pack
from geoexplain.imagery.mixture import ViewMixture
from geoexplain.locator.backbone import create_backbone
from geoexplain.locator.model import Network
from geoexplain.photos.photo import LeftOut, Tally
from geoexplain.training.heads import build_network
from geoexplain.training.photos import PhotoSet, photo_set
from geoexplain.training.settings import Phase, Training
from geoexplain.training.views import ViewSource, centers_partitioning
from tests.imagery.earths import grid_deg
from tests.imagery.scenes import generator, made_surroundings

CENTERS = np.array([(10.0, 20.0), (12.0, 22.0), (-33.0, 151.0), (64.0, -22.0)])
COLOURS = np.array([(220, 40, 40), (220, 160, 40), (40, 60, 220), (200, 220, 240)])
PARENTS = np.array([0, 0, 1, 2])
COARSE = np.array([(11.0, 21.0), (-33.0, 151.0), (64.0, -22.0)])


@dataclass(frozen=True, eq=False)
class DrawnPhotos:
    """A collection of photos that are drawn when they are read; those in `broken` cannot be."""

    positions_deg: np.ndarray
    cells: np.ndarray
    broken: frozenset[int] = frozenset()

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(f"photo-{i}" for i in range(len(self)))

    @property
    def left_out(self) -> LeftOut:
        return Tally().result()

    @property
    def authors(self) -> tuple[str, ...]:
        return tuple(f"author-{i % 7}" for i in range(len(self)))

    def __len__(self) -> int:
        return len(self.positions_deg)

    def read(self, i: int, *, shorter_px: int | None = None) -> Image.Image:
        del shorter_px
        if i in self.broken:
            raise ImageError(f"photo-{i}: expected a whole image, got one cut short.")
        noise = np.random.default_rng(i).integers(-25, 26, (40, 48, 3))
        return Image.fromarray((COLOURS[self.cells[i]] + noise).clip(0, 255).astype(np.uint8))

    def encoded(self, i: int) -> bytes:
        return self.read(i).tobytes()

    def stamp(self, i: int) -> tuple[int, int]:
        return i, 0


def drawn(count: int = 48, broken: frozenset[int] = frozenset(), seed: int = 0) -> DrawnPhotos:
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, len(CENTERS), count)
    return DrawnPhotos(CENTERS[cells] + rng.uniform(-0.4, 0.4, (count, 2)), cells, broken)


def world_partitioning(levels: int = 2) -> Partitioning:
    """Four cells in three; points further than 5 degrees from every centre are in none."""
    fine = Partition("world", ("Chad", "Sudan", "Sydney", "Iceland"), CENTERS, PARENTS if levels > 1 else None)
    coarse = Partition("world", ("Africa", "Australia", "Europe"), COARSE)

    def assign(points_deg: np.ndarray) -> np.ndarray:
        distance = np.abs(points_deg[:, None] - CENTERS).max(axis=-1)
        return np.where(distance.min(axis=1) < 5, distance.argmin(axis=1), -1)

    every = (fine, coarse)[:levels]
    return Partitioning(
        "world",
        "semantic",
        every,
        tuple(tuple(level.labels) for level in every),
        tuple(np.ones(len(level), dtype=np.int64) for level in every),
        tuple((None,) * len(level) for level in every),
        assign,
    )


def world_photos(collection: DrawnPhotos, partitioning: Partitioning, validation: int = 8) -> PhotoSet:
    rows = np.arange(len(collection))
    return photo_set(collection, rows[:-validation], rows[-validation:], partitioning)


def coloured_imagery() -> Imagery:
    """Two Earths whose colour tells the place, each of a brightness of its own in every texel."""
    shades = np.random.default_rng(0).uniform(0.4, 1, (2, 90, 180, 1))
    rgb = torch.from_numpy(((unit_vectors(grid_deg(90)) + 1) / 2 * 255 * shades).round().astype(np.uint8))
    return pack(torch.cat([rgb, torch.zeros(2, 90, 180, 1, dtype=torch.uint8)], dim=-1), ("one", "other"))


def world_views() -> ViewSource:
    """Views of four cells; a quarter of every batch are pieces of one picture that is none, and generated pictures."""
    return ViewSource(
        coloured_imagery(),
        made_surroundings(),
        centers_partitioning(CENTERS),
        (torch.randint(256, (3, 40, 60), generator=generator(), dtype=torch.uint8),),
        mixture=ViewMixture(extreme=0, turned=0, oblique=0.2, footprint_km=(500.0, 2000.0)),
        others_share=0.25,
    )


SOURCES = ("photos", "views")


def world_source(kind: str, broken: frozenset[int] = frozenset({3})) -> PhotoSet | ViewSource:
    """A source of either kind, small enough that a step takes moments."""
    return world_views() if kind == "views" else world_photos(drawn(48, broken), world_partitioning())


def source_settings(kind: str, **changes: object) -> Training:
    """Settings for a source of either kind."""
    return world_settings(**({"head": "mvmf-soft"} if kind == "views" else {}), **changes)


def world_settings(**changes: object) -> Training:
    return Training(
        **{  # type: ignore[arg-type]
            "architecture": "test_efficientnet",
            "head": "multi",
            "phases": (Phase(32, 8, images=64), Phase(48, 8, images=32)),
            "warmup_images": 16,
            "precision": "float32",
            **changes,
        }
    )


def world_network(settings: Training, partitioning: Partitioning) -> Network:
    torch.manual_seed(settings.seed)
    return build_network(create_backbone(settings.architecture), settings.head, partitioning)
