"""The probability within any distance as curves of few points, which the browser reads and draws."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoexplain.geography.partition import Partition
from geoexplain.geography.sphere import great_circle_km
from geoexplain.locator.prediction import RADII_KM, Prediction
from geoexplain.locator.spread import FARTHEST_KM
from geoexplain.view.radius_words import cell_words
from geoexplain.words import exact_percent, width_text

MOST_POINTS = 200
METRES_PER_KM = 1000

DRAWN_POINTS = 80
ROOM_FOR_THE_CELL = 3.0
"""The axis begins at the cell's width divided by this, which leaves room for the text on shorter distances."""

TICKS_APART = 1.9
"""Smallest ratio of two distances that are both labelled on the axis."""


def area_curve(prediction: Prediction) -> dict[str, Any]:
    """Return the curve of the probability within any distance of the predicted point, spread over the cells' areas.

    "km" and "share" are the points of the curve, which begins at the top cell's width. "from_km" and "to_km" are the
    ends of the logarithmic axis, "ticks" and "levels" the labels of the axes. "cell" describes the top cell, for all
    distances below its width.
    """
    width_km = prediction.cell_width_km
    start_km, end_km = min(width_km, FARTHEST_KM / 2), FARTHEST_KM
    km = np.geomspace(start_km, end_km, DRAWN_POINTS)
    ticks = [start_km]
    for radius in (*RADII_KM, end_km):
        if radius > TICKS_APART * ticks[-1]:
            ticks.append(radius)
    assert prediction.spread is not None
    return {
        "km": km.round(3).tolist(),
        "share": prediction.spread.within(km).round(4).tolist(),
        "from_km": start_km / ROOM_FOR_THE_CELL,
        "to_km": end_km,
        "ticks": [{"km": tick, "text": width_text(tick)} for tick in ticks],
        "levels": [{"share": share, "text": exact_percent(share)} for share in (0, 0.5, 1)],
        "cell": {
            "width_km": width_km,
            "words": cell_words(width_km),
            "share": float(prediction.probabilities[prediction.cell]),
        },
    }


def density_curve(prediction: Prediction, partition: Partition) -> NDArray[np.float64]:
    """Return the published prediction density as a step function of the scale: rows (distance in km, density).

    Both columns increase, and the first row is at 0 km. The density at a scale is that of the last row whose distance
    is at most the scale. Distances are rounded up to a metre, so that a scale in whole metres counts exactly the cells
    within it. Up to MOST_POINTS different distances the function is exact. Beyond, steps are merged: values are then
    too low by less than 1 / (MOST_POINTS - 10), mostly far less, but stay exact at RADII_KM and at the rule's scale.
    The rule for "localizable" uses this density; people are shown `area_curve`.
    """
    far_km = great_circle_km(partition.centers_deg[prediction.cell], partition.centers_deg)
    # Subtract a tiny amount before rounding up: the distance of a cell to itself may not be exactly 0.
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
    """Return the indices `kept`, and the first index on each of as many equal levels of density as fit."""
    levels = MOST_POINTS - len(kept) - 1
    chosen = kept
    while True:
        _, first = np.unique(np.floor(density * levels), return_index=True)
        finer = np.union1d(kept, first)
        if len(finer) > MOST_POINTS:
            return chosen
        chosen, levels = finer, 2 * levels
        if levels > 1e12:  # all distinct values are included
            return chosen
