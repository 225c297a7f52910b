"""Addresses in nature, from Natural Earth's own files: a desert → the region that holds it → "Deserts"; or the sea."""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from shapely.geometry.base import BaseGeometry

from geoexplain.errors import DataError
from geoexplain.geography.address import Addresses, Location
from geoexplain.geography.addresses.forest import Forest, addresses_in, checked_points, last_part
from geoexplain.geography.addresses.offline import Progress, finest_seas, in_blocks
from geoexplain.geography.addresses.territories import Territories, load_territories
from geoexplain.geography.features import Feature
from geoexplain.geography.naturalearth import read_layer
from geoexplain.words import printable

REGIONS, GLACIERS, LAKES, SEAS = "geography_regions_polys", "glaciated_areas", "lakes", "geography_marine_polys"

KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "desert": ("Deserts", ("desert",)),
    "mountains": ("Mountain ranges", ("range/mtn", "foothills")),
    "plateau": ("Plateaus", ("plateau",)),
    "plain": ("Plains", ("plain", "lowland")),
    "tundra": ("Tundra", ("tundra",)),
    "basin": ("Basins", ("basin",)),
    "delta": ("Deltas", ("delta",)),
    "wetland": ("Wetlands", ("wetlands",)),
    "valley": ("Valleys", ("valley", "gorge")),
    "peninsula": ("Peninsulas", ("pen/cape", "peninsula")),
    "island": ("Islands", ("island",)),
    "glacier": ("Glaciers", ("glaciated areas",)),
    "lake": ("Lakes", ("lake", "alkaline lake", "reservoir")),
}
"""Kind → the name of its root, and the classes (column featurecla) that are of it. Left aside are continents, coasts
and other areas that say where something is rather than what, and groups of islands, mostly sea."""

COVERS = ("glacier", "lake")
"""What hides the region that it lies in, however small that is, and holds none."""

HELD = 0.75
"""Share of a region's area that has to lie in a larger one for that to hold it: outlines are drawn for labels."""

ABBREVIATIONS = {
    "Mts.": "Mountains",
    "Ra.": "Range",
    "Cord.": "Cordillera",
    "Plat.": "Plateau",
    "Pen.": "Peninsula",
    "I.": "Island",
    "L.": "Lake",
    "Res.": "Reservoir",
}
SMALL_WORDS = {"Of", "The", "And", "De", "Del", "Do", "Da", "Du", "Des"}


@dataclass(frozen=True, eq=False)
class Outlines:
    """R regions, the largest first, what covers others last.

    parts      tree over their prepared polygons
    region     int64, per polygon the region it is of
    locations  int64 (R,), the location of each region
    """

    parts: shapely.STRtree
    region: NDArray[np.int64]
    locations: NDArray[np.int64]

    def smallest(self, points_deg: NDArray[np.float64]) -> NDArray[np.int64]:
        """The location of the last region that holds each point (N, 2); −1 in none."""
        return np.append(self.locations, -1)[last_part(self.parts, self.region, points_deg)]


@dataclass(frozen=True, eq=False)
class NaturalRegions:
    """Regions of a folder of Natural Earth, and what finds a point's place among them.

    locations  of regions, kinds, and the shipped seas
    parents    int64 (L,), the location that holds each; −1 for a root
    land       what lies on land, lakes included
    seas       the folder's, if it has them
    shapes     key → outline
    shipped    location of the offline gazetteer → location here, for the shipped seas
    """

    locations: tuple[Location, ...]
    parents: NDArray[np.int64]
    land: Outlines
    seas: Outlines
    shapes: Mapping[str, BaseGeometry] = field(repr=False)
    shipped: Mapping[int, int] = field(repr=False)


def natural_addresses(points_deg: ArrayLike, naturalearth: Path, *, progress: Progress = None) -> Addresses:
    """Addresses of points (N, 2) in degrees: the smallest natural region that holds each → larger ones → their kind.

    `naturalearth` is a folder of Natural Earth's files: regions, glaciers, lakes, and seas where it has them; else seas
    are those that come with the package. A region ends at the sea; a point on land in none has no address. Longitudes
    may run past ±180. Raises DataError as `territory_addresses` and `load_regions` do.
    """
    points = checked_points(points_deg)
    regions = load_regions(naturalearth)
    return addresses_in(points, natural_leaves(regions, points, progress), regions.locations, regions.parents)


def natural_leaves(
    regions: NaturalRegions, points: NDArray[np.float64], progress: Progress = None
) -> NDArray[np.int64]:
    """The finest location of each point (N, 2), longitudes in [-180, 180): locations (N,) of `regions`, −1 for none."""
    world = load_territories()
    table = np.full(len(world.locations) + 1, -1)  # −1 stays −1
    table[list(regions.shipped)] = list(regions.shipped.values())
    sea = table[finest_seas(world, points)]
    leaf = in_blocks(regions.land.smallest, points, progress)
    lake = np.isin(leaf, np.flatnonzero([location.kind == "lake" for location in regions.locations]))
    named = in_blocks(regions.seas.smallest, points)
    return np.where((sea < 0) | lake, leaf, np.where(named >= 0, named, sea))


_loading = threading.Lock()


def load_regions(naturalearth: Path) -> NaturalRegions:
    """The regions in a folder, read once per process (a good second) and shared by all threads.

    Raises DataError for a folder without any of the layers, and as `read_layer` does.
    """
    with _loading:
        return _load(naturalearth)


@lru_cache(maxsize=2)
def _load(folder: Path) -> NaturalRegions:
    layers = {name: layer for name in (REGIONS, GLACIERS, LAKES, SEAS) if (layer := read_layer(folder, name))}
    if not layers.keys() - {SEAS}:
        raise DataError(
            f"{printable(str(folder))}: expected Natural Earth's files, such as ne_50m_{REGIONS}.zip or "
            f"ne_50m_{LAKES}.zip, found none: download them from naturalearthdata.com."
        )
    kind_of = {one: kind for kind, (_, classes) in KINDS.items() for one in classes}
    found: dict[tuple[str, str], list[BaseGeometry]] = {}
    for name, layer in layers.items():
        for feature in layer.features:
            kind = "sea" if name == SEAS else kind_of.get(str(feature.properties.get("featurecla")).lower())
            if kind is not None and feature.shape is not None and feature.shape.area:
                found.setdefault((kind, _name(feature)), []).append(feature.shape)
    shapes = {key: shapely.union_all(parts) if len(parts) > 1 else parts[0] for key, parts in found.items()}
    forest = Forest()
    land = _grow(forest, {key: shape for key, shape in shapes.items() if key[0] != "sea"})
    seas = _grow(forest, {key: shape for key, shape in shapes.items() if key[0] == "sea"})
    shipped = _shipped_seas(forest, load_territories())
    outlines = {f"{kind}:{name}": shape for (kind, name), shape in shapes.items() if name}
    return NaturalRegions(
        tuple(forest.locations), np.array(forest.parents), land, seas, shapes=outlines, shipped=shipped
    )


def _name(feature: Feature) -> str:
    """What people call a feature; "" for one without a name."""
    name = str(feature.properties.get("name_en") or feature.properties.get("name") or "").strip()
    if name.isupper():  # as Natural Earth writes what it labels large
        name = re.sub(r"[^\W\d_]+(?:[’'‘][^\W\d_]+)*", lambda word: word[0].capitalize(), name)
    words = [ABBREVIATIONS.get(word, word) for word in name.split()]
    return " ".join(word.lower() if i and word in SMALL_WORDS else word for i, word in enumerate(words))


def _grow(forest: Forest, shapes: Mapping[tuple[str, str], BaseGeometry]) -> Outlines:
    """Add regions below the smallest larger one that holds them, or below their kind; what has no name is its kind."""
    order = sorted(shapes, key=lambda key: (key[0] in COVERS, -shapes[key].area, key))
    outlines = np.array([shapes[key] for key in order], dtype=object)
    locations: list[int] = []
    for kind in sorted({kind for kind, _ in order}):
        forest.add("kind", _root(kind), _root(kind))
    tree = shapely.STRtree(outlines)
    for number, (kind, name) in enumerate(order):
        root = forest.index[f"kind:{_root(kind)}"]
        near = np.sort(tree.query(outlines[number], predicate="intersects"))
        larger = [i for i in near[near < number].tolist() if order[i][1] and order[i][0] not in COVERS]
        held = [i for i in larger if _holds(outlines[i], outlines[number])]
        parent = locations[held[-1]] if held else root
        locations.append(forest.add(kind, name, name, parent) if name else root)
    parts, region = shapely.get_parts(outlines, return_index=True)
    shapely.prepare(parts)
    return Outlines(shapely.STRtree(parts), region, np.array(locations, dtype=np.int64))


def _root(kind: str) -> str:
    return "Seas" if kind == "sea" else KINDS[kind][0]


def _holds(larger: BaseGeometry, smaller: BaseGeometry) -> bool:
    return bool(shapely.intersection(larger, smaller).area >= HELD * smaller.area)


def _shipped_seas(forest: Forest, world: Territories) -> dict[int, int]:
    root = forest.add("kind", "Seas", "Seas")
    shipped: dict[int, int] = {}
    for number, location in enumerate(world.locations):  # an ocean comes before its seas
        if location.kind in ("sea", "ocean"):
            code = location.key.partition(":")[2]
            held = shipped.get(int(world.parents[number]), root)
            shipped[number] = forest.add(location.kind, code, location.name, held)
    return shipped
