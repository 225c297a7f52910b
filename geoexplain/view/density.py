"""The probability within any distance, as curves of few points that a browser can read off and draw."""

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
"""The drawn curve begins at the cell's width divided by that: room to say what lies below it."""

TICKS_APART = 1.9
"""Two distances must be that many times apart for both to be written below the curve."""


def area_curve(prediction: Prediction) -> dict[str, Any]:
    """The probability within any distance of the predicted point, spread over areas, ready to be drawn.

    "km" and "share" are the curve from the top cell's width on: nothing is drawn below that. "from_km" and "to_km" are
    the ends of the axis, which is logarithmic, "ticks" and "levels" what is written along the axes, "cell" what is said
    of all that lies below the cell's width.
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
    """The published prediction density as a function of the scale: rows (distance in km, density from there on).

    Both rise. The density at a scale is that of the last row whose distance is at most the scale; the first row is at
    0 km. Distances are rounded up to a metre, so that a scale in whole metres includes what it should and no more. Up
    to MOST_POINTS different distances nothing is lost. Beyond, steps are merged, and what is read off falls short of
    the prediction density by less than 1 / (MOST_POINTS - 10), mostly by far less; at RADII_KM and at the rule's scale
    it stays exact. It is what the rule for "localizable" counts; people are shown `area_curve`.
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
