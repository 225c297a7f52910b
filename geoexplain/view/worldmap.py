"""Draw one prediction on a world map that works offline: folium, vendored Leaflet, our own base map and drawing code.

The page holds numbers, encoded polylines and a few names; `assets/world/*.js` draws them on one canvas. Cell names are
untrusted: they are embedded as JSON without any HTML character, and reach the page as text only.
"""

from pathlib import Path
from typing import Any

import folium
import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoexplain.errors import DataError
from geoexplain.geography.partition import Partition
from geoexplain.geography.sphere import EARTH_RADIUS_KM, great_circle_km
from geoexplain.locator.prediction import Prediction
from geoexplain.view.cell_borders import ring_data
from geoexplain.view.map_page import fill_page, hex_colors
from geoexplain.view.polylines import encode_integers, encode_points, geodesic_circle, great_circle_line
from geoexplain.view.radius_words import LARGEST_CIRCLE, WHOLE_EARTH_KM, circle_radius_km, half_words
from geoexplain.words import exact_percent, kilometres, percent

TOP_CELLS = 5

NAMED_FROM = 1e-3
MOST_NAMES = 100
MOST_OUTLINES = 5000
"""With more cells, only named ones with a known border have outlines, the others are discs: all would cost too much."""

SMALLEST_VIEW_DEG = 18.0  # about 2,000 km from south to north: a closer view would show too little context
WIDEST_FITTED_CIRCLE_KM = 3000.0
STANDARD_PARALLEL_LIMIT_DEG = 60.0

# Dark cells on the light map, bright ones on the dark map, without the ends that look like the ground.
_PALETTES = {"light": np.linspace(210, 25, 32), "dark": np.linspace(60, 250, 32)}


def world_map(
    prediction: Prediction,
    partition: Partition,
    *,
    unsearched: Prediction | None = None,
    target: int | None = None,
    truth_deg: ArrayLike | None = None,
    doubt: str = "",
    leaflet_url: str | None = None,
    world_url: str | None = None,
    dark: bool = False,
    tiles: bool = False,
) -> folium.Map:
    """Return a folium map of a prediction over its partition.

    All cells are coloured by probability on a logarithmic scale (for 2,000 cells from 0.01 % to 100 %); the five
    likeliest are outlined and named. A circle around the predicted point holds half of the probability; it is never
    drawn narrower than the top cell. Photos found by Search within Cell are dots, with a line from the centre of the
    cell to the answer.

    unsearched   the same prediction without Search within Cell, to which the page around the map can switch
    target       the explained cell, which is highlighted
    truth_deg    true (latitude, longitude) in degrees of an example; adds the error in km (great circle)
    doubt        a warning on the map that the answer may mean nothing; empty: none
    leaflet_url  URL of the folder `assets/leaflet`, without a final slash; None writes Leaflet into the page
    world_url    URL of the folder `assets/world`, likewise
    dark         colours for a dark page
    tiles        online OpenStreetMap tiles (Web Mercator) instead of the packaged base map: the only setting that
                 sends requests to another host

    A click on the map posts {source: "geoexplain-map", lat, lng} in degrees to the page around it. A message
    {source: "geoexplain-studio", target?, place?, pointed?, dark?, searching?, show?} from there changes target and
    theme in place, marks the explained place and one under the pointer (each as returned by `place_shape`, or null),
    shows or hides the photos of the search, and with show: "search" zooms to them.
    Raises DataError if prediction, partition, target or truth do not match, or if the prediction has no spread.
    """
    _check(prediction, partition, target)
    truth = None if truth_deg is None else _checked_point(truth_deg)
    data = _drawing_data(prediction, partition, target, truth) | _search_data(prediction, partition, unsearched, truth)
    data |= {"dark": dark, "tiles": tiles, "doubt": doubt}
    data["parallelDeg"] = round(min(abs(prediction.lat_deg), STANDARD_PARALLEL_LIMIT_DEG), 1)
    chart = folium.Map(
        location=[prediction.lat_deg, prediction.lon_deg],
        zoom_start=3,
        tiles="OpenStreetMap" if tiles else None,
        crs="EPSG3857" if tiles else "EPSG4326",  # the page replaces the latter by its own projection
        prefer_canvas=True,
        font_size="12px",
        zoom_snap=0.25,
        zoom_delta=0.5,
        max_zoom=9 if prediction.neighbours is None else 13,
        max_bounds=True,  # no further than the poles; any number of times around
        min_lon=-36000,
        max_lon=36000,
        max_bounds_viscosity=1.0,
    )
    fill_page(
        chart,
        "worldmap.js",
        data,
        ["worldmap.css"],
        title="geoexplain: map of the prediction",
        base_map=not tiles,
        leaflet_url=leaflet_url,
        world_url=world_url,
    )
    return chart


def world_map_html(prediction: Prediction, partition: Partition, **options: Any) -> str:
    """Return the HTML page of `world_map` with the same options; self-contained unless URLs are given."""
    return str(world_map(prediction, partition, **options).get_root().render())


def save_world_map(path: Path, prediction: Prediction, partition: Partition, **options: Any) -> None:
    """Write `world_map_html` to a file that opens anywhere, offline."""
    path.write_text(world_map_html(prediction, partition, **options), encoding="utf-8")


def _check(prediction: Prediction, partition: Partition, target: int | None) -> None:
    if prediction.probabilities.shape != (len(partition),):
        raise DataError(
            f"map: expected {len(partition)} probabilities for partition {partition.name}, got "
            f"{prediction.probabilities.shape}; is the prediction from another model?"
        )
    if target is not None and not 0 <= target < len(partition):
        raise DataError(f"map: expected a target cell in 0 … {len(partition) - 1}, got {target}.")


def _checked_point(point_deg: ArrayLike) -> NDArray[np.float64]:
    point = np.asarray(point_deg, dtype=np.float64)
    if point.shape != (2,) or not np.isfinite(point).all() or abs(point[0]) > 90:
        raise DataError(
            "map: expected a true point (latitude in [-90, 90], longitude) in degrees, got "
            f"{point.tolist()}: correct it."
        )
    return point


def _drawing_data(
    prediction: Prediction, partition: Partition, target: int | None, truth: NDArray[np.float64] | None
) -> dict[str, Any]:
    shares = prediction.probabilities
    top = [int(cell) for cell in prediction.top(min(TOP_CELLS, len(partition)))]
    named = {*top, *([target] if target is not None else ())}
    likely = np.argsort(-shares, kind="stable")[:MOST_NAMES]
    named.update(int(cell) for cell in likely if shares[cell] >= NAMED_FROM)
    lowest = min(-2, round(np.log10(0.2 / len(partition))))  # the decade below the probability of each of K equal cells
    levels = np.rint(255 * (1 - np.log10(np.maximum(shares, 10.0**lowest)) / lowest))
    texts = [percent(share) for share in shares]
    percents = sorted(set(texts))
    data: dict[str, Any] = {
        **_marks(prediction, truth),
        "centers": encode_points(partition.centers_deg),
        "levels": encode_integers(levels),
        "lowest": lowest,
        "names": {str(cell): partition.labels[cell] for cell in sorted(named)},
        "percents": percents,
        "percent_of": encode_integers([percents.index(text) for text in texts]),
        "ticks": [exact_percent(10.0**decade) for decade in range(lowest, 1)],
        "top": top,
        "target": target,
        "palette": {theme: hex_colors(indices) for theme, indices in _PALETTES.items()},
    }
    if len(partition) <= MOST_OUTLINES:
        data |= ring_data(partition)
    elif partition.borders is not None:
        data |= ring_data(partition, [cell for cell in named if partition.borders[cell] is not None])
    data["fit"] = _view_box(prediction, partition, truth)
    return data


def _marks(prediction: Prediction, truth: NDArray[np.float64] | None) -> dict[str, Any]:
    """Return the predicted point, the circle around it, and the line to the true point."""
    point = np.array([prediction.lat_deg, prediction.lon_deg])
    marks: dict[str, Any] = {"point": _rounded(point), "circle": None, "truth": None}
    radius_km = circle_radius_km(prediction)
    if 2 * radius_km <= LARGEST_CIRCLE * WHOLE_EARTH_KM:
        line = encode_points(geodesic_circle(point, radius_km))
        marks["circle"] = {"text": f"half of the probability: within {half_words(prediction)}", "line": line}
    if truth is not None:
        marks["truth"] = {
            "point": _rounded(truth),
            "text": kilometres(float(great_circle_km(point, truth))),
            "line": encode_points(great_circle_line(point, truth)),
        }
    return marks


def _search_data(
    prediction: Prediction, partition: Partition, unsearched: Prediction | None, truth: NDArray[np.float64] | None
) -> dict[str, Any]:
    """Return the photos found, shifted by turns of 360° to the predicted point, and the move from the cell's centre."""
    neighbours = prediction.neighbours
    if neighbours is None:
        return {"search": None, "without": None}
    center = partition.centers_deg[prediction.cell]
    points = np.concatenate([neighbours.positions_deg, center[None]])
    points[:, 1] += 360 * np.round((prediction.lon_deg - points[:, 1]) / 360)
    shown = np.concatenate([points, [[prediction.lat_deg, prediction.lon_deg]]])
    search = {
        "points": [_rounded(point) for point in points[:-1]],
        "chosen": neighbours.chosen.tolist(),
        "center": _rounded(points[-1]),
        "text": kilometres(neighbours.moved_km),
        "fit": [_rounded(shown.min(axis=0)), _rounded(shown.max(axis=0))],
    }
    return {"search": search, "without": None if unsearched is None else _marks(unsearched, truth)}


def _view_box(prediction: Prediction, partition: Partition, truth: NDArray[np.float64] | None) -> list[list[float]]:
    """Return the south-west and north-east corner of the first view, unwrapped around the predicted point."""
    point = np.array([prediction.lat_deg, prediction.lon_deg])
    cells = [cell for cell in prediction.top(min(TOP_CELLS, len(partition))) if prediction.probabilities[cell] >= 0.02]
    shown = [point[None], partition.centers_deg[cells]]
    if truth is not None:
        shown.append(truth[None])
    lat, lon = np.concatenate(shown).T
    lon = point[1] + (lon - point[1] + 180) % 360 - 180
    radius_km = circle_radius_km(prediction)
    reach = np.degrees(min(radius_km, WIDEST_FITTED_CIRCLE_KM) / EARTH_RADIUS_KM)
    reach_lon = reach / max(np.cos(np.radians(point[0])), 0.2)
    south, north = min(lat.min(), point[0] - reach), max(lat.max(), point[0] + reach)
    west, east = min(lon.min(), point[1] - reach_lon), max(lon.max(), point[1] + reach_lon)
    spare_lat = max(0.0, SMALLEST_VIEW_DEG - (north - south)) / 2
    spare_lon = max(0.0, SMALLEST_VIEW_DEG - (east - west)) / 2
    box = np.array([[south - spare_lat, west - spare_lon], [north + spare_lat, east + spare_lon]])
    box[:, 0] = box[:, 0].clip(-90, 90)
    return box.round(2).tolist()


def _rounded(point_deg: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 4) for value in point_deg]
