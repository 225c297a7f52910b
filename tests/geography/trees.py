"""Eight cells around Wadi Rum and the places that they lie in, small enough to sum by hand."""

import numpy as np
import shapely

from geoexplain.geography.partition import Partition
from geoexplain.geography.placetree import PlaceTree

LABELS = ("Asia", "Jordan", "Ma'an", "Wadi Rum", "Saudi Arabia", "Africa", "Egypt", "Aqaba")
ASIA, JORDAN, MAAN, WADI_RUM, SAUDI_ARABIA, AFRICA, EGYPT, AQABA = range(8)

CENTERS = np.array(
    [(29.6, 35.4), (30.2, 35.7), (31.9, 35.9), (29.5, 35.0), (28.4, 36.6), (24.7, 46.7), (30.0, 31.2), (0.0, -30.0)]
)
# cell:      0         1     2       3      4             5             6      7 (in no place)
OF_CELL = (WADI_RUM, MAAN, JORDAN, AQABA, SAUDI_ARABIA, SAUDI_ARABIA, EGYPT, -1)
SHARES = np.array([0.20, 0.15, 0.10, 0.05, 0.22, 0.08, 0.12, 0.08])
"""Wadi Rum 20 %, Ma'an 35, Aqaba 5, Jordan 50, Saudi Arabia 30 with the best cell, Asia 80, Egypt and Africa 12."""


def wadi_rum_tree() -> PlaceTree:
    borders = {ASIA: shapely.box(25, 10, 150, 75), JORDAN: shapely.box(35, 29, 39, 33)}
    return PlaceTree(
        "territory",
        LABELS,
        ("continent", "country", "region", "city", "country", "continent", "country", "region"),
        np.array([-1, ASIA, JORDAN, MAAN, ASIA, -1, AFRICA, JORDAN]),
        np.array(OF_CELL),
        tuple(borders.get(place) for place in range(len(LABELS))),
    )


def wadi_rum_cells() -> Partition:
    return Partition("levant", tuple(f"cell {cell}" for cell in range(len(CENTERS))), CENTERS)
