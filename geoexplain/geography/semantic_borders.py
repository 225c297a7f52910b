"""Borders of semantic classes: polygons where they are known, else what lies nearest within a known polygon."""

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
"""The outline of a location, x = longitude in degrees, which may run past ±180; None where none is known."""

UNCUT = 1e6
"""As `reach` of outlines: the polygon that they are cut to bounds them, not the distance between neighbours."""

SHORTEST_EDGE = 1e-4
"""In radii of the Earth, 0.6 km: so near a pole edges may turn as they like."""

FAR_KM = 6_700.0
"""60°: of classes that lie no further from their middle, the far side of the Earth is kept out of all outlines."""


def known_borders(hierarchy: Hierarchy, classes: NDArray[np.int64], border_of: BorderOf) -> dict[int, BaseGeometry]:
    """The polygons that `border_of` knows of the K classes (K,) and of all locations that hold them, by location."""
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
    """Borders of K classes, locations (K,) with centres (K, 2) in degrees: (multi)polygons, x = longitude in degrees.

    A location whose polygon is `known` has that one, also where finer classes lie in it. Any other has the region that
    is nearest to its centre among all classes of the finest location above it whose polygon is known, cut to that
    polygon; None where there is no such location. Such regions have longitudes around the centre's, even past ±180.
    `progress` hears (classes drawn, K).
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
    """The union of the polygons among shapes and in collections among them, valid; None when nothing is left."""
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
    """What lies nearest to each of S sites (S, 2), those at one place sharing theirs; None, for one place, is all."""
    # SphericalVoronoi takes sites within 1e-6 of each other for one, and then draws nothing.
    _, first, place = np.unique(unit_vectors(sites_deg).round(5), axis=0, return_index=True, return_inverse=True)
    if len(first) == 1:
        return [None] * len(sites_deg)
    places = sites_deg[first]
    outlines = voronoi_outlines(np.concatenate([places, _far_side(places)]), UNCUT)
    regions = [ring_polygon(_finer(ring), center) for ring, center in zip(outlines, places, strict=False)]
    return [regions[each] for each in place.reshape(-1)]


def _finer(ring_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """A ring with points between where an edge, a great circle, runs past a pole: a straight line is far off there."""
    while True:
        vectors = unit_vectors(ring_deg)
        turned = np.abs((np.diff(ring_deg[:, 1]) + 180) % 360 - 180)
        apart = np.linalg.norm(np.diff(vectors, axis=0), axis=1)
        wide = np.flatnonzero((turned > LONGEST_EDGE_DEG) & (apart > SHORTEST_EDGE))
        if not len(wide):
            return ring_deg
        ring_deg = np.insert(ring_deg, wide + 1, degrees(vectors[wide] + vectors[wide + 1]), axis=0)


def _far_side(sites_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Four places around the antipode of sites that lie together, (4, 2); none (0, 2) for sites all over the Earth.

    With them there is a diagram for two sites, too, and no region reaches round the Earth.
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
    """The part of a prepared polygon that lies in a region, None for the whole Earth, around a longitude."""
    if region is None:
        return shape
    if not shapely.is_valid(region):
        region = shapely.make_valid(region)
    west, _, east, _ = shapely.bounds(shape)
    left, _, right, _ = shapely.bounds(region)
    parts: list[BaseGeometry] = []
    for turn in (-720.0, -360.0, 0.0, 360.0, 720.0):  # the two may be drawn on different turns round the Earth
        if left + turn > east or right + turn < west:
            continue
        moved = translate(region, turn)
        if shapely.contains_properly(shape, moved):
            parts.append(moved)
        elif shapely.intersects(shape, moved):
            parts += shapely.get_parts(_overlap(shape, moved)).tolist()
    return only_polygons([_beside(part, lon_deg) for part in parts if not part.is_empty])


def _beside(shape: BaseGeometry, lon_deg: float) -> BaseGeometry:
    """A shape on that turn round the Earth where its middle lies within 180° of a longitude."""
    west, _, east, _ = shapely.bounds(shape)
    return translate(shape, 360.0 * round((lon_deg - (west + east) / 2) / 360.0))


def _overlap(shape: BaseGeometry, region: BaseGeometry) -> BaseGeometry:
    try:  # a country of ten thousand corners, for a town in it
        return shapely.intersection(shapely.clip_by_rect(shape, *shapely.bounds(region)), region)
    except shapely.GEOSException:  # clipped to a rectangle a polygon may touch itself
        return shapely.intersection(shape, region)
