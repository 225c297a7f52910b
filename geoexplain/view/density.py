"""The prediction density at every scale at once, as a curve of few points that a browser can read off and draw."""

import numpy as np
from numpy.typing import NDArray

from geoexplain.geography.partition import Partition
from geoexplain.geography.sphere import great_circle_km
from geoexplain.locator.prediction import RADII_KM, Prediction

MOST_POINTS = 200
METRES_PER_KM = 1000


def density_curve(prediction: Prediction, partition: Partition) -> NDArray[np.float64]:
    """The prediction density as a function of the scale: rows (distance in km, density from there on), both rising.

    The density at a scale is that of the last row whose distance is at most the scale; the first row is at 0 km.
    Distances are rounded up to a metre, so that a scale in whole metres includes what it should and no more. Up to
    MOST_POINTS different distances nothing is lost. Beyond, steps are merged, and what is read off falls short of the
    prediction density by less than 1 / (MOST_POINTS - 10), mostly by far less; at RADII_KM and at the rule's scale it
    stays exact.
    """
    far_km = great_circle_km(partition.centers_deg[prediction.cell], partition.centers_deg)
    # A hair is taken off before rounding up: the distance of a cell to itself is 0 but for the last bit.
    steps, first = np.unique(np.ceil(far_km * METRES_PER_KM - 1e-6), return_inverse=True)
    steps_km = np.maximum(steps, 0) / METRES_PER_KM
    density = np.minimum(np.cumsum(np.bincount(first, prediction.probabilities)), 1.0)
    if len(steps_km) > MOST_POINTS:
        exact = np.array(sorted({*RADII_KM, prediction.rule.scale_km}), dtype=np.float64)
        kept = np.unique([0, *(np.searchsorted(steps_km, exact, side="right") - 1), len(steps_km) - 1])
        kept = _first_of_each_level(density, kept)
        steps_km, density = steps_km[kept], density[kept]
    return np.stack([steps_km, density], axis=1)


def _first_of_each_level(density: NDArray[np.float64], kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """The indices `kept`, and the first ones on each of as many equal levels of density as there is room for."""
    levels = MOST_POINTS - len(kept) - 1
    chosen = kept
    while True:
        _, first = np.unique(np.floor(density * levels), return_index=True)
        finer = np.union1d(kept, first)
        if len(finer) > MOST_POINTS:
            return chosen
        chosen, levels = finer, 2 * levels
        if levels > 1e12:  # all that differ are in
            return chosen
