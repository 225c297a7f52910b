"""Recipes of the smallest kind: a small model on disk, and views of an image of noise or photos."""

from pathlib import Path

import numpy as np

from geoexplain.evaluation.recipes import Photos, Recipe, Views
from tests.evaluation.photos import write_photos
from tests.imagery.earths import write_png
from tests.locator.models import saved, small_model


def views_recipe(folder: Path, views: int = 6) -> Recipe:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    images = Views((write_png(folder, pixels),), views, (400.0, 900.0), 20.0, seed=3)
    return Recipe(str(saved(small_model(), folder)), images, "cpu")


def photos_recipe(folder: Path, photos: int = 4, **flaws) -> Recipe:
    manifest = write_photos(folder / "set", photos, **flaws)
    return Recipe(str(saved(small_model(), folder)), Photos(manifest, manifest.parent / "images", 1), "cpu")
