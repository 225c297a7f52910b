"""Borders of semantic classes: known polygons, or else Voronoi regions within a known polygon."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from geoexplain.errors import DataError
from geoexplain.geography.address import Location
from geoexplain.geography.hierarchy import Hierarchy
from geoexplain.geography.partition import LONGEST_EDGE_DEG, voronoi_outlines
from geoexplain.geography.ring_polygons import ring_polygon
from geoexplain.geography.sphere import degrees, destination, great_circle_km, spherical_mean, unit_vectors

BorderOf = Callable[[Location], BaseGeometry | None]
"""A location → its outline, x = longitude in degrees, which may exceed ±180; None if unknown."""

UNCUT = 1e6
"""`reach` of outlines that are not cut by distance, since a polygon bounds them."""

SHORTEST_EDGE = 1e-4
"""In radii of the Earth, 0.6 km: shorter edges next to a pole are not divided further."""

FAR_KM = 6_700.0
"""60°: if all classes lie within this distance of their mean, outlines exclude the far side of the Earth."""


def known_borders(hierarchy: Hierarchy, classes: NDArray[np.int64], border_of: BorderOf) -> dict[int, BaseGeometry]:
    """Return the known polygons, by location, of the K `classes` (K,) and of all locations that contain them."""
    known = {}
    for location in {step for each in classes.tolist() for step in hierarchy.path(each)}:
        border = border_of(hierarchy.locations[location])
        shape = None if border is None else only_polygons([border])
        if shape is not None:
            known[location] = shape
    return known


def class_borders(
    hierarchy: Hierarchy,
    classes: NDArray[np.int64],
    centers_deg: NDArray[np.float64],
    known: Mapping[int, BaseGeometry],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[BaseGeometry | None, ...]:
    """Return the borders of K classes, locations (K,) with centres (K, 2) in degrees, as (multi)polygons.

    A location with a `known` polygon has that one, even if finer classes lie in it. Any other location uses the finest
    location above it with a known polygon: its border is the part of that polygon that is nearer to its centre than to
    those of the other classes there. Without such a location it is None. x is the longitude in degrees, around the
    centre's, and may exceed ±180. `progress` is called with (classes drawn, K).
    """
    holders = [next((step for step in hierarchy.path(each) if step in known), -1) for each in classes.tolist()]
    below: dict[int, list[int]] = {holder: [] for holder in holders if holder >= 0}
    for cell, each in enumerate(classes.tolist()):
        for step in hierarchy.path(each):
            if step in below:
                below[step].append(cell)
    borders: list[BaseGeometry | None] = [None] * len(classes)
    done, tell = holders.count(-1), progress or (lambda _done, _total: None)
    tell(done, len(classes))
    for holder, cells in below.items():
        waiting = [cell for cell in cells if holders[cell] == holder]
        shapely.prepare(known[holder])
        regions = dict(zip(cells, _regions(centers_deg[cells]), strict=True))
        for cell in waiting:
            region = None if classes[cell] == holder else regions[cell]
            borders[cell] = _cut(known[holder], region, centers_deg[cell, 1])
        done += len(waiting)
        tell(done, len(classes))
    return tuple(borders)


def only_polygons(shapes: Sequence[BaseGeometry]) -> BaseGeometry | None:
    """Return the valid union of the polygons among shapes and in collections among them; None if there are none."""
    if not shapes:
        return None
    valid = [shape if shapely.is_valid(shape) else shapely.make_valid(shape) for shape in shapes]
    parts = shapely.get_parts(shapely.get_parts(valid))
    polygons = parts[(shapely.get_dimensions(parts) == 2) & ~shapely.is_empty(parts)]
    if not len(polygons):
        return None
    if len(polygons) == 1:
        return polygons[0]
    return shapely.union_all(polygons) if len(shapes) > 1 else shapely.multipolygons(polygons)


def _regions(sites_deg: NDArray[np.float64]) -> list[BaseGeometry | None]:
    """Return the Voronoi region of each of S sites (S, 2); coincident sites share one. None means the whole Earth."""
    # SphericalVoronoi raises an error for sites within 1e-6 of each other.
    _, first, place = np.unique(unit_vectors(sites_deg).round(5), axis=0, return_index=True, return_inverse=True)
    if len(first) == 1:
        return [None] * len(sites_deg)
    places = sites_deg[first]
    outlines = voronoi_outlines(np.concatenate([places, _far_side(places)]), UNCUT)
    regions = [ring_polygon(_finer(ring), center) for ring, center in zip(outlines, places, strict=False)]
    return [regions[each] for each in place.reshape(-1)]


def _finer(ring_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a ring with extra points on edges that pass a pole, where a straight line is far from the great circle."""
    while True:
        vectors = unit_vectors(ring_deg)
        turned = np.abs((np.diff(ring_deg[:, 1]) + 180) % 360 - 180)
        apart = np.linalg.norm(np.diff(vectors, axis=0), axis=1)
        wide = np.flatnonzero((turned > LONGEST_EDGE_DEG) & (apart > SHORTEST_EDGE))
        if not len(wide):
            return ring_deg
        ring_deg = np.insert(ring_deg, wide + 1, degrees(vectors[wide] + vectors[wide + 1]), axis=0)


def _far_side(sites_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return four points (4, 2) around the antipode of sites, or none (0, 2) if the sites are spread over the Earth.

    With them even two sites have a Voronoi diagram, and no region extends around the Earth.
    """
    try:
        middle = spherical_mean(sites_deg)
    except DataError:
        return np.empty((0, 2))
    if great_circle_km(middle, sites_deg).max() > FAR_KM:
        return np.empty((0, 2))
    antipode = np.array([-middle[0], middle[1] - 180.0])
    return destination(antipode, [10.0, 100.0, 190.0, 280.0], 2_000.0)


def _cut(shape: BaseGeometry, region: BaseGeometry | None, lon_deg: float) -> BaseGeometry | None:
    """Return the part of a prepared polygon inside a region (None: the whole Earth), with longitudes near `lon_deg`."""
    if region is None:
        return shape
    if not shapely.is_valid(region):
        region = shapely.make_valid(region)
    west, _, east, _ = shapely.bounds(shape)
    left, _, right, _ = shapely.bounds(region)
    parts: list[BaseGeometry] = []
    for turn in (-720.0, -360.0, 0.0, 360.0, 720.0):  # their longitudes may differ by whole turns
        if left + turn > east or right + turn < west:
            continue
        moved = translate(region, turn)
        if shapely.contains_properly(shape, moved):
            parts.append(moved)
        elif shapely.intersects(shape, moved):
            parts += shapely.get_parts(_overlap(shape, moved)).tolist()
    return only_polygons([_beside(part, lon_deg) for part in parts if not part.is_empty])


def _beside(shape: BaseGeometry, lon_deg: float) -> BaseGeometry:
    """Return a shape shifted by whole turns, so that its middle lies within 180° of a longitude."""
    west, _, east, _ = shapely.bounds(shape)
    return translate(shape, 360.0 * round((lon_deg - (west + east) / 2) / 360.0))


def _overlap(shape: BaseGeometry, region: BaseGeometry) -> BaseGeometry:
    try:  # clipping first is much faster for a country of ten thousand corners and a town in it
        return shapely.intersection(shapely.clip_by_rect(shape, *shapely.bounds(region)), region)
    except shapely.GEOSException:  # a polygon that is clipped to a rectangle may touch itself
        return shapely.intersection(shape, region)
