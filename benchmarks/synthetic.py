"""Synthetic coordinates distributed like those of photos: around the packaged cities, in proportion to population."""

import numpy as np
from numpy.typing import NDArray

from geoexplain.geography.gazetteer import load_gazetteer
from geoexplain.geography.sphere import destination

MEDIAN_KM = 4.0
SPREAD = 1.3
"""Distances from the city's centre are log-normal: most within the city, one in a hundred beyond 80 km."""


def city_coordinates(count: int, seed: int = 0) -> NDArray[np.float64]:
    """Draw coordinates (count, 2) in degrees; the same seed gives the same ones."""
    rng = np.random.default_rng(seed)
    gazetteer = load_gazetteer()
    people = np.maximum(gazetteer.city_population, 1.0)
    city = rng.choice(len(people), count, p=people / people.sum())
    distance_km = np.minimum(MEDIAN_KM * np.exp(SPREAD * rng.standard_normal(count)), 2000.0)
    return destination(gazetteer.city_deg[city], rng.uniform(0, 360, count), distance_km)
