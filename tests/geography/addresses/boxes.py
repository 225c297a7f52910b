"""Cells that are boxes on the map, given by their sides: what they hold can be read from an atlas."""

import numpy as np
import shapely

from geoexplain.geography.addresses.cell_names import name_cells, unnamed
from geoexplain.geography.partition import Partition

Box = tuple[float, float, float, float]
"""South, west, north, east in degrees; east of 180 for a box that the antimeridian crosses."""


def box_cells(*boxes: Box) -> Partition:
    """A partition with a cell, not yet named, for each box; its centre is the middle."""
    south, west, north, east = np.array(boxes, dtype=np.float64).T
    lon = ((west + east) / 2 + 180) % 360 - 180
    borders = tuple(shapely.box(*sides) for sides in zip(west, south, east, north, strict=True))
    return unnamed("boxes", np.stack([(south + north) / 2, lon], axis=1), None, borders)


def around(lat_deg: float, lon_deg: float, half_deg: float = 0.02) -> Box:
    return (max(lat_deg - half_deg, -90.0), lon_deg - half_deg, min(lat_deg + half_deg, 90.0), lon_deg + half_deg)


def label_at(lat_deg: float, lon_deg: float) -> str:
    """What a cell is called that is hardly more than a point."""
    return name_cells(box_cells(around(lat_deg, lon_deg))).labels[0]
