"""The map of a partitioning: nothing from elsewhere in its page, and in a real browser the cell that one clicks."""

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image
from playwright.sync_api import Page, expect

from geoexplain.geography.kmeans_partitioning import build_kmeans
from geoexplain.geography.partition import Partition
from geoexplain.geography.partitioning import Partitioning
from geoexplain.geography.s2_partitioning import build_s2
from geoexplain.view.partition_map import partition_map, save_partition_map
from tests.geography.scattered import nameless
from tests.view.test_worldmap import PAYLOADS, embedded

# Face 0 holds eight at (10, 10) and four at (-10, -10); face 3, across the antimeridian, holds six.
POINTS = np.array([(10.0, 10.0)] * 8 + [(-10.0, -10.0)] * 4 + [(5.0, 179.0), (5.0, -179.0)] * 3)


def made() -> Partitioning:
    def by_position(cells: Partition) -> Partition:
        return replace(cells, labels=tuple(f"{lat:.0f}, {lon:.0f}" for lat, lon in cells.centers_deg))

    return build_s2(POINTS, [(3, 12), (3, 8)], name="hand", name_by=by_position)


def test_the_page_asks_for_nothing_and_takes_names_for_text() -> None:
    built = made()
    hostile = tuple(PAYLOADS[: len(built.levels[0])])
    levels = (replace(built.levels[0], labels=hostile), *built.levels[1:])
    page = str(partition_map(replace(built, levels=levels, name=PAYLOADS[1])).get_root().render())
    assert re.findall(r"<link|<img|<script[^>]*\ssrc|@import|sourceMappingURL|<iframe", page) == []
    assert [url for url in re.findall(r"url\(([^)]*)\)", page) if not url.startswith(("data:", "#"))] == []
    assert embedded(page)["levels"][1]["labels"] == list(hostile)
    assert "alert(1)</script>" not in page


def test_what_the_page_knows() -> None:
    data = embedded(str(partition_map(made(), dark=True).get_root().render()))
    assert (data["title"], data["kind"], data["coordinates"], data["lost"], data["dark"]) == (
        "hand",
        "s2",
        "18 coordinates",
        "",
        True,
    )
    assert [level["keys"] for level in data["levels"]] == [["1", "7"], ["04", "14", "7"]]


def test_thousands_of_cells_stay_a_small_page(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform([-60, -180], [70, 180], (9000, 2))
    built = build_kmeans(points, [3000], name_by=nameless)
    save_partition_map(tmp_path / "map.html", built)
    assert (tmp_path / "map.html").stat().st_size < 1_500_000


def pixel_of(page: Page, lat: float, lon: float) -> tuple[float, float]:
    x, y = page.evaluate(
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
def test_a_cell_says_what_it_is_and_lies_in(chromium_page: Page, tmp_path: Path) -> None:
    save_partition_map(tmp_path / "map.html", made())
    chromium_page.set_viewport_size({"width": 1200, "height": 700})
    chromium_page.goto((tmp_path / "map.html").as_uri())
    card = chromium_page.locator(".geoexplain-cell")
    expect(card).to_contain_text("Click a cell")
    expect(chromium_page.locator(".geoexplain-panel")).to_contain_text("S2 partitioning of 18 coordinates")
    chromium_page.mouse.move(*pixel_of(chromium_page, -10, -10))
    tip = chromium_page.locator(".geoexplain-tip")
    expect(tip).to_have_text("-10, -104 coordinatesin 3, 3")  # the mean of eight and of four
    chromium_page.mouse.click(*pixel_of(chromium_page, -10, -10))
    expect(card.locator("h2")).to_have_text("-10, -10")
    expect(card).to_contain_text("4 coordinates, 22.2 % of all")
    expect(card).to_contain_text("04 · -10.000, -10.000")
    card.get_by_role("button", name="3, 3").click()
    expect(chromium_page.get_by_role("button", name="coarse 2")).to_have_attribute("aria-pressed", "true")
    expect(card.locator("h2")).to_have_text("3, 3")
    expect(card).to_contain_text("12 coordinates")
    chromium_page.get_by_role("button", name="Close").click()
    expect(card).to_contain_text("Click a cell")


@pytest.mark.browser
def test_where_cells_overlap_there_is_no_hole(chromium_page: Page, tmp_path: Path) -> None:
    with_lake = shapely.box(-20, -20, 10, 20) - shapely.box(-15, -5, -7, 5)
    cells = Partition("n", ("range", "plateau"), np.array([(0.0, -5.0), (0.0, 5.0)]))
    borders = (with_lake, shapely.box(5, -20, 30, 20))
    counts = np.array([7, 7])
    both = Partitioning("n", "semantic", (cells,), (("a", "b"),), (counts,), (borders,), cells.nearest_many)
    save_partition_map(tmp_path / "map.html", both, dark=False)
    chromium_page.set_viewport_size({"width": 1200, "height": 700})
    chromium_page.goto((tmp_path / "map.html").as_uri())
    expect(chromium_page.locator(".geoexplain-cell")).to_contain_text("Click a cell")
    chromium_page.evaluate("window[document.querySelector('.folium-map').id].setView([0, 0], 3, {animate: false})")
    places = {"both": (-8.0, 7.5), "range": (-15.0, -12.0), "lake": (-2.0, -11.0), "sea": (-26.0, -25.0)}
    spots = [tuple(map(int, pixel_of(chromium_page, *place))) for place in places.values()]

    def seen() -> dict[str, np.ndarray]:
        picture = np.asarray(Image.open(io.BytesIO(chromium_page.screenshot())).convert("RGB")).astype(int)
        return {name: picture[y, x] for name, (x, y) in zip(places, spots, strict=True)}

    colors = seen()
    for _ in range(100):  # until it is painted
        if np.abs(colors["range"] - colors["sea"]).max() > 40:
            break
        chromium_page.wait_for_timeout(50)
        colors = seen()
    assert np.abs(colors["range"] - colors["sea"]).max() > 40
    assert np.abs(colors["both"] - colors["range"]).max() < 10
    assert np.abs(colors["lake"] - colors["sea"]).max() < 10


@pytest.mark.browser
@pytest.mark.parametrize("place", [(5.0, 178.0), (5.0, -178.0), (44.0, 179.99)])
def test_a_cell_across_the_antimeridian_is_found_from_both_sides(
    chromium_page: Page, tmp_path: Path, place: tuple[float, float]
) -> None:
    save_partition_map(tmp_path / "map.html", made())
    chromium_page.goto((tmp_path / "map.html").as_uri())
    chromium_page.evaluate("window[document.querySelector('.folium-map').id].setView([20, 180], 2, {animate: false})")
    chromium_page.mouse.click(*pixel_of(chromium_page, *place))
    expect(chromium_page.locator(".geoexplain-cell")).to_contain_text("6 coordinates, 33.3 % of all")


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1400])
def test_it_fits_and_is_light_or_dark(chromium_page: Page, tmp_path: Path, width: int) -> None:
    save_partition_map(tmp_path / "map.html", made())
    chromium_page.set_viewport_size({"width": width, "height": 800})
    chromium_page.emulate_media(color_scheme="dark")
    chromium_page.goto((tmp_path / "map.html").as_uri())
    map_ = chromium_page.locator(".geoexplain-map")
    expect(map_).to_have_class(re.compile("geoexplain-dark"))
    chromium_page.get_by_role("button", name="Light or dark").click()
    expect(map_).not_to_have_class(re.compile("geoexplain-dark"))
    assert chromium_page.evaluate("document.documentElement.scrollWidth") <= width
