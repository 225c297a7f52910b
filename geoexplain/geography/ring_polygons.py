"""Convert rings on the sphere to polygons on a flat map (x = longitude), also across ±180° and around a pole."""

import numpy as np
import shapely
from numpy.typing import NDArray

from geoexplain.geography import s2
from geoexplain.geography.partition import LONGEST_EDGE_DEG
from geoexplain.geography.sphere import degrees

AT_POLE = 1e-12
"""Distance from the Earth's axis, in Earth radii, below which a corner counts as the pole."""


def ring_polygon(ring_deg: NDArray[np.float64], center_deg: NDArray[np.float64]) -> shapely.Polygon:
    """Return the polygon inside a ring (V, 2) in degrees, closed or not, with steps below 180° of longitude.

    Longitudes are continuous and may exceed ±180; the polygon's middle lies within 180° of the centre's longitude. A
    ring that runs once around the Earth is closed along the pole on the centre's side of the equator.
    """
    if (ring_deg[0] != ring_deg[-1]).any():
        ring_deg = np.concatenate([ring_deg, ring_deg[:1]])
    lat, lon = ring_deg[:, 0], _continuous(ring_deg[:, 1])
    if abs(lon[-1] - lon[0]) > 180:
        east = slice(None) if lon[-1] > lon[0] else slice(None, None, -1)
        lat, lon = lat[:-1][east], (ring_deg[:-1, 1][east] + 180) % 360 - 180
        seam = int(lon.argmin())
        lat, lon = np.roll(lat, -seam), _continuous(np.roll(lon, -seam))
        pole = float(np.copysign(90.0, center_deg[0]))
        lat, lon = np.append(lat, [lat[0], pole, pole]), np.append(lon, [lon[0] + 360, lon[0] + 360, lon[0]])
    lon = lon + 360 * np.round((center_deg[1] - (lon.min() + lon.max()) / 2) / 360)
    return shapely.Polygon(np.stack([lon, lat], axis=1))


def _continuous(lon_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    # Adding whole turns keeps a closed ring closed to the last bit.
    return lon_deg + 360 * np.round((np.unwrap(lon_deg, period=360) - lon_deg) / 360)


def s2_polygons(ids: NDArray[np.uint64]) -> list[shapely.Polygon]:
    """Return the outline of each S2 cell as a polygon, x = longitude in degrees, like `ring_polygon`.

    Edges are great circles, divided into pieces of at most LONGEST_EDGE_DEG degrees of arc and of longitude. A corner
    at a pole becomes the line that represents the pole on the map.
    """
    corners, centers = s2.corners(ids), s2.centers_deg(ids)
    corners_deg = degrees(corners)
    lon = corners_deg[..., 1]
    lon = lon + 360 * np.round((centers[:, None, 1] - lon) / 360)
    # Most cells are small enough for straight edges; these polygons are built in one call.
    spans = np.ptp(np.concatenate([lon, centers[:, 1:]], axis=1), axis=1), np.ptp(corners_deg[..., 0], axis=1)
    plain = (np.maximum(*spans) <= LONGEST_EDGE_DEG) & (np.hypot(*corners[..., :2].T).min(axis=0) > AT_POLE)
    polygons = shapely.polygons(np.stack([lon, corners_deg[..., 0]], axis=-1))
    return [
        shape if straight else ring_polygon(_great_circles(four), center)
        for shape, straight, four, center in zip(polygons.tolist(), plain.tolist(), corners, centers, strict=True)
    ]


def _great_circles(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points (V, 2) in degrees along the great circles that join unit vectors (4, 3) into a ring."""
    pieces = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        (lat_0, lon_0), (lat_1, lon_1) = degrees([start, end])
        at_pole = [bool(np.hypot(*vector[:2]) < AT_POLE) for vector in (start, end)]
        turned = 0.0 if any(at_pole) else abs((lon_1 - lon_0 + 180) % 360 - 180)
        arc = float(np.degrees(np.arccos(np.clip(start @ end, -1, 1))))
        share = np.linspace(0, 1, 1 + max(1, int(np.ceil(max(arc, turned) / LONGEST_EDGE_DEG))))[:, None]
        piece = degrees(start * (1 - share) + end * share)
        piece[0], piece[-1] = (lat_0, lon_1 if at_pole[0] else lon_0), (lat_1, lon_0 if at_pole[1] else lon_1)
        # The next edge begins where this one ends, except at a pole, which it leaves along another meridian.
        pieces.append(piece if at_pole[1] else piece[:-1])
    return np.concatenate(pieces)
