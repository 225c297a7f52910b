"""The world map: its numbers by hand, its page by what must not be in it, its drawing in a real browser."""

import gzip
import html
import io
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image
from playwright.sync_api import Frame, Page, expect

from geoexplain.errors import DataError
from geoexplain.geography.partition import Partition
from geoexplain.geography.sphere import great_circle_km
from geoexplain.locator.model import LocalizableRule
from geoexplain.locator.prediction import Prediction
from geoexplain.locator.retrieval import Neighbours
from geoexplain.locator.spread import spread_probability
from geoexplain.view.cell_borders import outline_data
from geoexplain.view.polylines import encode_integers
from geoexplain.view.worldmap import save_world_map, world_map_html
from tests.view.polylines import polyline_integers

ASSETS = Path(__file__).parents[2] / "assets"
DEGREE_KM = 6371.0 * np.pi / 180

PAYLOADS = [
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "<img src=x onerror=alert(3)>",
    "<svg/onload=alert(4)>",
    '"><img src=x onerror=alert(5)>',
    "'><svg onload=alert(6)>",
    "javascript:alert(7)",
    "{{ 7 * 7 }}{% for x in () %}",
    "${alert(9)}`+alert(9)+`",
    "--><script>alert(10)</script><!--",
    "</style><iframe srcdoc='<script>alert(11)</script>'>",
    "\u2028</title><body onload=alert(12)>&lt;script&gt;",
]


def lattice(count: int) -> np.ndarray:
    """Fibonacci lattice: points spread evenly over the sphere."""
    i = np.arange(count) + 0.5
    return np.stack([np.degrees(np.arcsin(1 - 2 * i / count)), (137.50776405 * i + 180) % 360 - 180], axis=1)


def partition_of(centers: Any, labels: list[str] | None = None) -> Partition:
    centers = np.asarray(centers, float)
    return Partition("test", tuple(labels or [f"cell {i}" for i in range(len(centers))]), centers)


def prediction_at(lat: float, lon: float, probabilities: Any, partition: Partition) -> Prediction:
    shares = np.asarray(probabilities, float)
    spread = spread_probability(shares, partition, [lat, lon])
    best = int(shares.argmax())
    return Prediction(best, shares, lat, lon, {}, LocalizableRule(), 0.0, True, "cell centre", spread=spread)


def around(partition: Partition, lat: float, lon: float, scale_km: float = 500.0) -> Prediction:
    weights = np.exp(-((great_circle_km([lat, lon], partition.centers_deg) / scale_km) ** 2)) + 1e-9
    return prediction_at(lat, lon, weights / weights.sum(), partition)


def embedded(page: str) -> dict[str, Any]:
    return json.loads(re.search(r'<script type="application/json" id="geoexplain-data">(.*?)</script>', page)[1])


def test_the_circle_is_that_of_the_prediction_and_no_narrower_than_a_cell() -> None:
    partition = partition_of(lattice(300))
    wide, narrow = around(partition, 45, 5, 2000), around(partition, 45, 5, 300)
    for prediction, said in ((wide, "within a circle "), (narrow, "within the width of one cell, about ")):
        circle = embedded(world_map_html(prediction, partition))["circle"]
        assert circle["text"].startswith(f"half of the probability: {said}")
        drawn_km = great_circle_km([45, 5], points(circle["line"]))
        expected = max(prediction.half_radius_km, prediction.cell_width_km / 2)
        np.testing.assert_allclose(drawn_km, expected, atol=2)  # corners are kept to 1/100 degree
    assert narrow.half_radius_km < narrow.cell_width_km / 2 < wide.half_radius_km


def test_a_circle_around_the_whole_earth_is_not_drawn() -> None:
    partition = partition_of(lattice(300))
    other_side = prediction_at(45, 5, around(partition, -45, -175, 300).probabilities, partition)
    assert embedded(world_map_html(other_side, partition))["circle"] is None


def points(text: str) -> np.ndarray:
    """Google's encoded polyline algorithm backwards, steps of 1/100 degree: (N, 2) in degrees."""
    return np.array(polyline_integers(text)).reshape(-1, 2).cumsum(axis=0) / 100


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target": 4}, "target cell in 0 … 3"),
        ({"target": -1}, "target cell in 0 … 3"),
        ({"truth_deg": [91, 0]}, "true point"),
        ({"truth_deg": [np.nan, 0]}, "true point"),
        ({"truth_deg": [0, 0, 0]}, "true point"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], said: str) -> None:
    partition = partition_of([[0, 0], [0, 10], [0, -20], [0, 30]])
    with pytest.raises(DataError, match=said):
        world_map_html(prediction_at(0, 0, [0.3, 0.1, 0.2, 0.4], partition), partition, **options)
    with pytest.raises(DataError, match="expected 4 probabilities"):
        world_map_html(prediction_at(0, 0, [0.5, 0.5], partition_of([[0, 0], [0, 10]])), partition)


def test_the_page_asks_for_nothing() -> None:
    page = world_map_html(around(partition_of(lattice(300)), 45, 5), partition_of(lattice(300)))
    assert re.findall(r"<link|<img|<script[^>]*\ssrc|@import|sourceMappingURL|<iframe", page) == []
    urls = [url for url in re.findall(r"url\(([^)]*)\)", page) if not url.startswith(("data:", "#"))]
    assert urls == []


def test_urls_are_used_where_given_and_tiles_only_on_request() -> None:
    partition = partition_of(lattice(300))
    prediction = around(partition, 45, 5)
    page = world_map_html(prediction, partition, leaflet_url="static/leaflet", world_url="static/world")
    linked = re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^"]*)"', page)
    modules = ["cells", "geometry", "labels", "page", "places", "predictionscene", "scene", "worldmap"]
    world = {f"static/world/{name}" for name in ("basemap.js", "worldmap.css", *(f"{each}.js" for each in modules))}
    assert set(linked) == world | {"static/leaflet/leaflet.css", "static/leaflet/leaflet.js"}
    assert page.index('src="static/leaflet/leaflet.js"') < page.index(
        '<script type="module" src="static/world/worldmap.js">'
    )
    assert all((ASSETS / url.removeprefix("static/")).is_file() for url in linked)
    assert "openstreetmap" not in page.lower()
    assert "tile.openstreetmap.org" in world_map_html(prediction, partition, tiles=True)


def test_the_page_stays_small() -> None:
    partition = partition_of(lattice(2000))
    leaflet = sum((ASSETS / "leaflet" / name).stat().st_size for name in ("leaflet.js", "leaflet.css"))
    page = world_map_html(around(partition, 45, 5), partition, truth_deg=[44, 4])
    assert len(page) - leaflet < 250_000
    many = partition_of(lattice(31_145))
    page = world_map_html(around(many, 45, 5), many)
    assert len(gzip.compress(page.encode())) < 400_000


def test_levels_hold_the_probabilities_on_a_logarithmic_scale() -> None:
    partition = partition_of([[0, 10 * i] for i in range(6)])
    data = embedded(world_map_html(prediction_at(0, 0, [1, 0.1, 0.05, 0.011, 0.0099, 0], partition), partition))
    assert data["lowest"] == -2  # six equal cells would have 17 % each
    # 255 at 100 %, half of that at 10 %, at 5 % and 1.1 % by the logarithm, 0 below 1 %
    assert data["levels"] == encode_integers([255, 128, 89, 5, 0, 0])
    assert data["ticks"] == ["1 %", "10 %", "100 %"]


def test_every_cell_has_its_percentage_as_it_stands_everywhere() -> None:
    partition = partition_of([[0, 10 * i] for i in range(6)])
    data = embedded(world_map_html(prediction_at(0, 0, [0.8, 0.1, 0.0017, 0.0982, 0.0001, 0], partition), partition))
    assert data["percents"] == ["0 %", "0.2 %", "10.0 %", "80.0 %", "9.8 %", "< 0.1 %"]
    assert data["percent_of"] == encode_integers([3, 2, 1, 4, 5, 0])


def test_the_view_holds_what_matters_across_the_antimeridian() -> None:
    partition = partition_of(lattice(2000))
    prediction = around(partition, -17.5, 179.5, 300)
    (south, west), (north, east) = embedded(world_map_html(prediction, partition, truth_deg=[-14, -171]))["fit"]
    assert south < -17.5 < north
    assert west < 179.5 < 189 < east  # 171° W is 189° E, on this side of the map
    assert east - west < 60
    (south, west), (north, east) = embedded(world_map_html(around(partition, 45, 5, 20), partition))["fit"]
    assert north - south >= 17.9  # a certain prediction still shows where on Earth it is
    assert east - west >= 17.9


def searched(prediction: Prediction, partition: Partition, offsets_deg: Any, chosen: list[bool]) -> Prediction:
    """The same prediction with photos found so far from the centre of the best cell; the mean of the chosen answers."""
    positions = partition.centers_deg[prediction.cell] + np.asarray(offsets_deg, float)
    positions[:, 1] = (positions[:, 1] + 180) % 360 - 180
    offset = np.asarray(offsets_deg, float)[chosen].mean(axis=0)
    lat, lon = partition.centers_deg[prediction.cell] + offset
    lon = (lon + 180) % 360 - 180
    found = Neighbours(
        cell=prediction.cell,
        rows=np.arange(len(positions)),
        similarity=np.linspace(0.9, 0.5, len(positions), dtype=np.float32),
        positions_deg=positions,
        chosen=np.array(chosen),
        lat_deg=lat,
        lon_deg=lon,
        moved_km=float(great_circle_km(partition.centers_deg[prediction.cell], [lat, lon])),
        searched=40,
    )
    spread = spread_probability(prediction.probabilities, partition, [lat, lon])
    return replace(prediction, lat_deg=lat, lon_deg=lon, source="search within cell", neighbours=found, spread=spread)


def test_without_a_search_nothing_of_it_is_drawn() -> None:
    partition = partition_of(lattice(300))
    data = embedded(world_map_html(around(partition, 45, 5), partition))
    assert data["search"] is None
    assert data["without"] is None


def test_the_photos_found_lie_in_one_turn_of_the_earth() -> None:
    partition = partition_of([[10, 179.5], [0, 0]])
    plain = prediction_at(10, 179.5, [0.9, 0.1], partition)
    found = searched(plain, partition, [[0, 1], [0, 1.002], [0, -1]], [True, True, False])  # the answer: 179.499° W
    data = embedded(world_map_html(found, partition, unsearched=plain, truth_deg=[10, -170]))
    assert data["point"] == [10, -179.499]
    np.testing.assert_allclose(data["search"]["points"], [[10, -179.5], [10, -179.498], [10, -181.5]], atol=1e-3)
    assert data["search"]["chosen"] == [True, True, False]
    assert data["search"]["center"] == [10, -180.5]
    assert data["search"]["text"] == "110 km"  # 1.001 of a degree at 10° N, 109.5 km each
    assert data["search"]["fit"] == [[10, -181.5], [10, -179.498]]
    # Both answers come with their own way to the truth: 9.499° and 10.5° along 10° N, 109.5 km each.
    assert data["truth"]["text"] == "1,040 km"
    assert data["without"]["truth"]["text"] == "1,150 km"
    assert data["without"]["point"] == [10, 179.5]


def test_names_reach_the_page_as_data_only() -> None:
    partition = partition_of(lattice(12), PAYLOADS)
    page = world_map_html(prediction_at(0, 0, np.full(12, 1 / 12), partition), partition)
    assert list(embedded(page)["names"].values()) == PAYLOADS
    assert "alert(" in page
    for line in page.splitlines():
        if "alert(" in line:
            assert line.lstrip().startswith('<script type="application/json"')
            assert "<img" not in line
            assert line.count("<") == 2  # the element's own two tags


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A server for the assets and for what a test writes into tmp_path, on this machine."""
    (tmp_path / "assets").symlink_to(ASSETS)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def show_in_frame(
    page: Page, site: str, folder: Path, prediction: Prediction, partition: Partition, **options: Any
) -> Frame:
    """The map as the studio embeds it: an iframe's srcdoc, static files at relative URLs."""
    document = world_map_html(prediction, partition, leaflet_url="assets/leaflet", world_url="assets/world", **options)
    frame = f'<iframe srcdoc="{html.escape(document, quote=True)}" style="width:100%;height:400px;border:0"></iframe>'
    listen = "<script>messages=[];onmessage=e=>messages.push(e.data)</script>"
    icon = '<link rel="icon" href="data:,">'
    (folder / "index.html").write_text(f"<!doctype html>{icon}{listen}<body style='margin:0'>{frame}", encoding="utf-8")
    page.goto(f"{site}/index.html")
    inner = page.frames[1]
    expect(inner.locator(".geoexplain-label").first).to_be_visible()
    return inner


def pixel_of(frame: Frame, lat: float, lon: float) -> tuple[float, float]:
    """Where Leaflet has a point, in pixels of the frame; the point on the copy of the Earth nearest to the middle."""
    x, y = frame.evaluate(
        """([lat, lon]) => {
            const map = window[document.querySelector(".folium-map").id];
            const turns = Math.round((map.getCenter().lng - lon) / 360);
            const point = map.latLngToContainerPoint([lat, lon + 360 * turns]);
            return [point.x, point.y];
        }""",
        [lat, lon],
    )
    return x, y


@pytest.mark.browser
@pytest.mark.parametrize("place", [(45.0, 5.0), (-17.5, 179.6), (-80.0, 40.0)])
def test_a_click_tells_the_page_around_it_where(
    chromium_page: Page, site: str, tmp_path: Path, place: tuple[float, float]
) -> None:
    partition = partition_of(lattice(2000))
    prediction = around(partition, *place)
    frame = show_in_frame(chromium_page, site, tmp_path, prediction, partition, target=prediction.cell)
    cell = prediction.top(4)[3]
    chromium_page.mouse.click(*pixel_of(frame, *partition.centers_deg[cell]))
    chromium_page.wait_for_function("messages.length === 1")
    message = chromium_page.evaluate("messages[0]")
    assert message["source"] == "geoexplain-map"
    assert -180 <= message["lng"] <= 180
    assert partition.nearest(message["lat"], message["lng"]) == cell


@pytest.mark.browser
def test_labels_say_name_and_percentage_and_the_legend_the_rest(chromium_page: Page, site: str, tmp_path: Path) -> None:
    partition = partition_of([[0, 0], [0, 20], [20, 0], [20, 20]], ["Aa", "Bb", "Cc", "Dd"])
    prediction = prediction_at(0, 0, [0.6, 0.3, 0.0999, 0.0001], partition)
    frame = show_in_frame(chromium_page, site, tmp_path, prediction, partition, target=1, truth_deg=[0, 9])
    texts = frame.locator(".geoexplain-label").all_inner_texts()
    assert {re.sub(r"\s+", " ", text) for text in texts} == {"Aa 60.0 %", "Bb 30.0 %", "Cc 10.0 %", "Dd < 0.1 %"}
    expect(frame.locator(".geoexplain-label-target")).to_contain_text("Bb")
    expect(frame.locator(".geoexplain-legend")).to_contain_text("true point, 1,001 km away")  # 9 × 111.19 km
    assert frame.locator(".geoexplain-ticks span").all_inner_texts() == ["1 %", "10 %", "100 %"]
    chromium_page.evaluate(
        'frames[0].postMessage({source: "geoexplain-studio", target: 2, dark: true}, "*")'
    )  # the studio's way to change the target without losing pan and zoom
    expect(frame.locator(".geoexplain-label-target")).to_contain_text("Cc")
    expect(frame.locator(".geoexplain-dark")).to_have_count(1)


TELL = "frames[0].postMessage({source: 'geoexplain-studio', ...%s}, '*')"


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
def test_photos_found_are_dots_and_can_be_switched_off(
    chromium_page: Page, site: str, tmp_path: Path, dark: bool
) -> None:
    partition = partition_of([[-40, -120], [-52, -120], [-40, -100], [-28, -120]])  # nothing but ocean
    plain = prediction_at(-40, -120, [0.97, 0.01, 0.01, 0.01], partition)
    found = searched(plain, partition, [[3, 3], [3, 3.002], [-3, 3], [2, -4]], [True, True, False, False])
    options = {"unsearched": plain, "dark": dark}
    frame = show_in_frame(chromium_page, site, tmp_path, found, partition, **options)
    frame.locator(".geoexplain-legend summary").click()
    spots = [(-43.0, -117.0), (-38.0, -124.0)]  # the other photos
    center, answer, way = (-40.0, -120.0), (-37.0, -116.999), (-38.5, -118.5)

    def colors() -> list[tuple[int, ...]]:
        chromium_page.wait_for_timeout(150)
        return colors_at(chromium_page, frame, [*spots, way, answer])

    legend = frame.locator(".geoexplain-legend")
    expect(legend).to_contain_text("from the centre of the cell, 424 km")
    on = colors()
    chromium_page.evaluate(TELL % "{searching: false}")
    expect(legend).not_to_contain_text("from the centre of the cell")
    off = colors()
    assert all(a != b for a, b in zip(on, off, strict=True))
    assert len(set(off)) == 1  # the cell and nothing else
    chromium_page.evaluate(TELL % "{searching: true}")
    assert colors() == on

    before = frame.evaluate("window[document.querySelector('.folium-map').id].getZoom()")
    chromium_page.evaluate(TELL % '{show: "search"}')
    frame.wait_for_function(f"window[document.querySelector('.folium-map').id].getZoom() > {before}")
    for point in [*spots, center, answer]:
        x, y = pixel_of(frame, *point)
        assert 0 < x < 900
        assert 0 < y < 400


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
def test_cells_are_drawn_with_their_borders_and_places_are_marked(
    chromium_page: Page, site: str, tmp_path: Path, dark: bool
) -> None:
    # In the South Pacific: a square with a hole, an island in two parts, and twice what lies nearest.
    frame_of = shapely.box(-124, -44, -116, -36) - shapely.box(-121, -41, -119, -39)
    island = shapely.MultiPolygon([shapely.box(-112, -44, -110, -42), shapely.box(-112, -38, -110, -36)])
    centers = [[-40, -123], [-40, -111], [-52, -120], [-28, -120]]
    partition = replace(partition_of(centers, ["Square", "Island", "Cc", "Dd"]), borders=(frame_of, island, None, None))
    prediction = prediction_at(-40, -123, [0.6, 0.3, 0.05, 0.05], partition)
    frame = show_in_frame(chromium_page, site, tmp_path, prediction, partition, dark=dark)
    frame.locator(".geoexplain-legend summary").click()
    frame.evaluate("document.querySelector('.geoexplain-labels').style.display = 'none'")
    square, hole, first, between, second = (-43, -123), (-40.5, -119.5), (-43, -111), (-40, -111), (-37, -111)

    def colors() -> list[tuple[int, ...]]:
        chromium_page.wait_for_timeout(150)
        return colors_at(chromium_page, frame, [square, hole, first, between, second])

    shown = colors()
    assert shown[2] == shown[4] != shown[0]
    assert shown[1] == shown[3]  # nothing but ocean
    assert len(set(shown)) == 3
    for where, text in ((square, "Square: 60.0 %"), (second, "Island: 30.0 %")):
        chromium_page.mouse.move(*pixel_of(frame, *where))
        expect(frame.locator(".geoexplain-tip")).to_have_text(text)
    chromium_page.mouse.move(*pixel_of(frame, *hole))
    expect(frame.locator(".geoexplain-tip")).to_be_hidden()
    chromium_page.mouse.move(2, 2)

    place = json.dumps({"name": "Strait", **outline_data(shapely.box(-118.5, -45, -109, -35))})
    chromium_page.evaluate(TELL % f"{{place: {place}, target: null}}")
    expect(frame.locator(".geoexplain-legend")).to_contain_text("Strait, being explained")
    marked = colors()
    assert marked[:2] == shown[:2]
    assert marked[3] != shown[3]  # within the place
    for nonsense in ("{rings: 7}", "'all'", "{cells: '@@@@'}", "7", "{name: 'x'}", "{rings: ''}"):
        chromium_page.evaluate(TELL % f"{{pointed: {nonsense}}}")
    assert colors()[:2] == shown[:2]
    chromium_page.evaluate(TELL % "{place: null, pointed: null}")
    assert colors() == shown


@pytest.mark.browser
def test_the_keyboard_zooms(chromium_page: Page, site: str, tmp_path: Path) -> None:
    partition = partition_of(lattice(500))
    frame = show_in_frame(chromium_page, site, tmp_path, around(partition, 45, 5), partition)
    map_ = "window[document.querySelector('.folium-map').id]"
    frame.evaluate(f"{map_}.options.zoomAnimation = {map_}._zoomAnimated = false")  # Leaflet ignores keys meanwhile
    frame.locator(".leaflet-control-zoom-in").focus()
    before = frame.evaluate(f"{map_}.getZoom()")
    chromium_page.keyboard.press("Enter")
    frame.wait_for_function(f"{map_}.getZoom() === {before} + 0.5")
    frame.locator(".folium-map").focus()
    chromium_page.keyboard.press("-")
    frame.wait_for_function(f"{map_}.getZoom() === {before}")


@pytest.mark.browser
@pytest.mark.parametrize("start", [0, 5, 7])
def test_no_name_becomes_markup(chromium_page: Page, site: str, tmp_path: Path, start: int) -> None:
    labels = PAYLOADS[start : start + 5]
    partition = partition_of([[0, 0], [30, 60], [-30, -60], [-30, 60], [30, -60]], labels)
    prediction = prediction_at(0, 0, [0.3, 0.2, 0.2, 0.15, 0.15], partition)
    frame = show_in_frame(chromium_page, site, tmp_path, prediction, partition, target=1)
    names = frame.locator(".geoexplain-label-name").evaluate_all("nodes => nodes.map(node => node.textContent)")
    assert sorted(names) == sorted(labels)
    chromium_page.mouse.move(*pixel_of(frame, 30, 60))
    expect(frame.locator(".geoexplain-tip")).to_contain_text(labels[1].strip())
    assert frame.evaluate("document.querySelectorAll('img, svg, iframe').length") == 0


def colors_at(page: Page, frame: Frame, points: list[tuple[float, float]]) -> list[tuple[int, ...]]:
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return [picture.getpixel(tuple(int(value) for value in pixel_of(frame, *point))) for point in points]


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
def test_land_lies_on_both_sides_of_the_antimeridian_without_a_seam(
    chromium_page: Page, site: str, tmp_path: Path, dark: bool
) -> None:
    partition = partition_of([[-60, 170], [-60, -170], [-62, 180], [-58, 180]])  # all far out at sea
    prediction = prediction_at(-10, 180, [0.25, 0.25, 0.25, 0.25], partition)
    frame = show_in_frame(chromium_page, site, tmp_path, prediction, partition, dark=dark, truth_deg=[62, 178])
    frame.locator(".geoexplain-legend summary").click()
    frame.wait_for_timeout(100)
    land = colors_at(
        chromium_page, frame, [(66.5, 178.0), (67.0, 179.8), (67.0, -179.8), (66.5, -175.5), (-25, 135), (65, -155)]
    )  # Chukotka twice on either side, Australia, Alaska
    ocean = colors_at(
        chromium_page, frame, [(-16.54, 165), (-16.54, -175), (-16.54, -160), (-16.54, -130), (20, 165), (36, -165)]
    )  # 16.54° S: where Fiji's cut ring draws a line around the Earth when nobody joins it again
    assert len(set(land)) == 1
    assert len(set(ocean)) == 1
    assert land[0] != ocean[0]


@pytest.mark.browser
def test_antarctica_is_filled_to_the_pole(chromium_page: Page, site: str, tmp_path: Path) -> None:
    partition = partition_of([[30, -40], [32, -40], [30, -42], [34, -40]])
    prediction = prediction_at(-60, 60, [0.25] * 4, partition)
    frame = show_in_frame(chromium_page, site, tmp_path, prediction, partition, truth_deg=[-88, 100])
    points = [(-80.0, 40.0), (-84.0, 120.0), (-89.0, 60.0), (-75.0, 80.0)]
    chromium_page.wait_for_timeout(100)
    colors = colors_at(chromium_page, frame, [*points, (-55.0, 95.0)])
    assert len(set(colors[:4])) == 1
    assert colors[4] != colors[0]


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 900])
def test_a_saved_map_opens_alone(chromium_page: Page, tmp_path: Path, width: int) -> None:
    partition = partition_of(lattice(2000))
    path = tmp_path / "map.html"
    save_world_map(path, around(partition, 79, -45), partition, target=3, truth_deg=[80, 170])
    asked: list[str] = []
    chromium_page.on("request", lambda request: asked.append(request.url))
    chromium_page.set_viewport_size({"width": width, "height": 420})
    chromium_page.goto(path.as_uri())
    expect(chromium_page.locator(".geoexplain-label").first).to_be_visible()
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert chromium_page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = [label.bounding_box() for label in chromium_page.locator(".geoexplain-label").all()]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            apart_x = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
            apart_y = one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
            assert apart_x or apart_y
