"""Text on how far the probability reaches; it never gives a distance below the width of the top cell.

Circles are described by their width, as cells are, so that both can be compared. A circle narrower than the top cell is
called "the width of one cell": it lies around the predicted point, and may reach into several cells.
"""

import numpy as np

from geoexplain.geography.sphere import EARTH_RADIUS_KM
from geoexplain.locator.prediction import RADII_KM, Prediction
from geoexplain.words import exact_km, width_text

HALF, MOST = 0.5, 0.9

WHOLE_EARTH_KM = 2 * np.pi * EARTH_RADIUS_KM

LARGEST_CIRCLE = 0.95
"""Relative to the Earth's circumference: a wider circle would be a dot on the other side."""


def cell_words(width_km: float) -> str:
    """Return the width of a cell as text: "one cell, about 340 km wide"."""
    return f"one cell, about {width_text(width_km)} wide"


def circle_words(radius_km: float, cell_width_km: float) -> str:
    """Return the width of a circle around the predicted point as text: that of one cell, or its own in km."""
    width_km = 2 * radius_km
    if width_km < cell_width_km:
        return f"the width of one cell, about {width_text(cell_width_km)}"
    if width_km > LARGEST_CIRCLE * WHOLE_EARTH_KM:
        return "no circle short of the whole Earth"
    return f"a circle {width_text(width_km, up=True)} wide"


def circle_radius_km(prediction: Prediction) -> float:
    """Return the radius in km of the drawn circle of half the probability, never narrower than the top cell."""
    return max(prediction.half_radius_km, prediction.cell_width_km / 2)


def half_words(prediction: Prediction) -> str:
    """Return the circle of half the probability: "the width of one cell, about 340 km", "a circle 1,200 km wide"."""
    return circle_words(prediction.half_radius_km, prediction.cell_width_km)


def reach_words(prediction: Prediction) -> str:
    """Return a sentence, without its full stop, on the circles that hold half and 90 % of the probability."""
    half, most = half_words(prediction), circle_words(prediction.radius_90_km, prediction.cell_width_km)
    if half == most:
        return f"Half of the probability, even 90 % of it, lies within {half}"
    return f"Half of the probability lies within {half}; 90 % within {most}"


def share_rows(prediction: Prediction) -> list[tuple[str, float]]:
    """Return rows (text, probability in [0, 1]): the top cell, then each of RADII_KM not below the cell's width.

    The first row is the probability of the cell. The others are the probability within a radius of the predicted
    point, with each cell's probability spread over its area.
    """
    width_km = prediction.cell_width_km
    rows = [(cell_words(width_km), float(prediction.probabilities[prediction.cell]))]
    shares = prediction.density_by_area
    return [*rows, *((exact_km(radius), shares[radius]) for radius in RADII_KM if radius >= width_km)]
