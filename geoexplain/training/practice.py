"""A practice set: positions distributed like people's photos, with a view of Earth from above for each."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.geography.gazetteer import load_gazetteer
from geoexplain.geography.sphere import destination
from geoexplain.imagery.earth import Imagery
from geoexplain.imagery.views import ViewPoints, render

MOST_COORDINATES = 20_000_000
PHOTOS_OF_AN_AUTHOR = 20.0
NEW_CITY = 0.1
SAME_SPOT = 0.15
TYPICAL_KM, SPREAD, FARTHEST_KM = 6.0, 1.4, 400.0
POPULATION_WEIGHT = 0.7
"""Exponent of a city's population: half the inhabitants make it 0.6 times as likely. Photos are less concentrated in
large cities than people are."""

DIGITS = 5
FOOTPRINT_KM = (300.0, 1200.0)
ROTATION_DEG = 15.0
RENDERED_AT_A_TIME = 128


@dataclass(frozen=True, eq=False)
class PracticeSet:
    """The positions and authors of N photos.

    points_deg  float64 (N, 2), latitude and longitude in degrees, with five digits
    authors     int64 (N,), ascending from 0
    """

    points_deg: NDArray[np.float64] = field(repr=False)
    authors: NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.points_deg)


def practice_set(count: int, seed: int = 0) -> PracticeSet:
    """Draw `count` positions around the packaged cities, distributed like people's photos.

    An author takes 20 photos on average (geometric) and changes city after a photo with probability 0.1. Cities are
    drawn in proportion to population^0.7, distances from their centres from a log-normal distribution with a median of
    6 km, at most 400 km. About every seventh photo is taken at the position of the previous one. Raises DataError
    unless `count` is from 1 to 20,000,000.
    """
    if not 1 <= count <= MOST_COORDINATES:
        raise DataError(f"practice set: expected from 1 to {MOST_COORDINATES:,} coordinates, got {count}.")
    rng = np.random.default_rng(seed)
    first = rng.random(count) < 1 / PHOTOS_OF_AN_AUTHOR
    first[0] = True
    moved = first | (rng.random(count) < NEW_CITY)
    gazetteer = load_gazetteer()
    weight = np.maximum(gazetteer.city_population, 1.0) ** POPULATION_WEIGHT
    city = rng.choice(len(weight), moved.sum(), p=weight / weight.sum())[np.cumsum(moved) - 1]
    away_km = np.minimum(rng.lognormal(np.log(TYPICAL_KM), SPREAD, count), FARTHEST_KM)
    points = destination(gazetteer.city_deg[city], rng.uniform(0, 360, count), away_km)
    stays = ~moved & (rng.random(count) < SAME_SPOT)
    source = np.maximum.accumulate(np.where(stays, 0, np.arange(count)))
    return PracticeSet(points[source].round(DIGITS), np.cumsum(first) - 1)


def practice_photos(
    imagery: Imagery, points_deg: NDArray[np.float64], size_px: int, seed: int = 0
) -> Iterator[Image.Image]:
    """Yield a view of each of N positions (N, 2) in degrees, in order: RGB, `size_px` square, 300 to 1,200 km across.

    Each view shows a random image of the imagery, rotated by up to 15°.
    """
    rng = np.random.default_rng([seed, 1])
    low, high = np.log(FOOTPRINT_KM)
    points = ViewPoints(
        torch.from_numpy(points_deg),
        torch.from_numpy(np.exp(rng.uniform(low, high, len(points_deg)))).float(),
        torch.from_numpy(rng.uniform(-ROTATION_DEG, ROTATION_DEG, len(points_deg))).float(),
        torch.from_numpy(rng.integers(len(imagery), size=len(points_deg))),
    )
    for start in range(0, len(points_deg), RENDERED_AT_A_TIME):
        views = render(imagery, points[start : start + RENDERED_AT_A_TIME], size_px)[:, :3]
        for pixels in (views * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy():
            yield Image.fromarray(pixels)
