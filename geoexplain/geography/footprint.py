"""The footprint of a view of Earth from above: the position of each pixel, and which pixels are land or lake."""

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from geoexplain.errors import DataError
from geoexplain.geography.gazetteer import load_gazetteer
from geoexplain.geography.lakes import load_lakes
from geoexplain.geography.sphere import destination
from geoexplain.words import exact_km

LARGEST_WIDTH_KM = 20_000.0
"""Half of the Earth's circumference; beyond it a view's corners would meet behind its horizon."""


@dataclass(frozen=True)
class Footprint:
    """The area of a view of Earth from above, in azimuthal equidistant projection around its centre.

    lat_deg, lon_deg  its centre
    width_km          its width on the ground, above 0 and at most LARGEST_WIDTH_KM
    rotation_deg      bearing of its upper edge: 0 is north up, 90 is east up

    Raises DataError for values out of range.
    """

    lat_deg: float
    lon_deg: float
    width_km: float
    rotation_deg: float = 0.0

    def __post_init__(self) -> None:
        # Written so that NaN, which compares as false, is refused too.
        fits = -90 <= self.lat_deg <= 90 and -180 <= self.lon_deg <= 180 and 0 < self.width_km <= LARGEST_WIDTH_KM
        if not fits or not math.isfinite(self.rotation_deg):
            raise DataError(
                "footprint: expected a latitude in [-90, 90], a longitude in [-180, 180], a width above 0 and at most "
                f"{exact_km(LARGEST_WIDTH_KM)} and a finite rotation, got {self.lat_deg}, {self.lon_deg}, "
                f"{exact_km(self.width_km)} and {self.rotation_deg}."
            )


def pixel_positions(footprint: Footprint, size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Return latitude and longitude in degrees (H, W, 2) of every pixel's centre in a view of H × W square pixels.

    Azimuthal equidistant projection (Snyder 1987, p. 195): distance and bearing from the centre are true.
    """
    height, width = size_hw
    km_per_px = footprint.width_km / width
    right = (np.arange(width) + 0.5 - width / 2) * km_per_px
    down = (np.arange(height) + 0.5 - height / 2)[:, None] * km_per_px
    bearing = np.degrees(np.arctan2(right, -down)) + footprint.rotation_deg
    return destination((footprint.lat_deg, footprint.lon_deg), bearing, np.hypot(right, down))


def on_land(points_deg: ArrayLike) -> NDArray[np.bool_]:
    """Return whether points (..., 2) in degrees lie on land according to Natural Earth 1:50m; shape (...).

    Lakes count as land. The Caspian Sea, which is in no country, and Antarctica's ice shelves do not.
    Longitudes from -180 to 180. Raises DataError when the files of `assets/world` are missing or damaged.
    """
    return within(points_deg, load_gazetteer().shapes)


def on_lake(points_deg: ArrayLike) -> NDArray[np.bool_]:
    """Return whether points (..., 2) in degrees lie in a lake or reservoir of Natural Earth 1:50m; shape (...).

    The Caspian Sea is not one of them. Longitudes from -180 to 180. Raises DataError like `load_lakes`.
    """
    return within(points_deg, load_lakes())


def within(points_deg: ArrayLike, shapes: shapely.STRtree) -> NDArray[np.bool_]:
    """Return whether points (..., 2) in degrees lie in or on the border of any (multi)polygon of a tree; shape (...).

    Points have longitudes from -180 to 180. Polygons have x = longitude and y = latitude; one that crosses the
    antimeridian continues beyond 180. Prepared polygons are many times faster.
    """
    points = np.asarray(points_deg, dtype=np.float64)
    lat, lon = points[..., 0].ravel(), points[..., 1].ravel()
    inside = np.zeros(lat.size, dtype=np.bool_)
    for turn in (0.0, 360.0):  # polygons across the antimeridian continue beyond 180° E
        there = np.flatnonzero((turn == 0) | (lon < 0))
        if not there.size:
            continue
        x, y = lon[there] + turn, lat[there]
        # One polygon after the other, since a query of the tree by points does not use prepared geometries.
        for shape in shapes.geometries[shapes.query(shapely.box(x.min(), y.min(), x.max(), y.max()))]:
            west, south, east, north = shapely.bounds(shape)
            near = (x >= west) & (x <= east) & (y >= south) & (y <= north)
            inside[there[near]] |= shapely.intersects_xy(shape, x[near], y[near])
    return inside.reshape(points.shape[:-1])
