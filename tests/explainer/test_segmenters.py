"""Land cover: the colour rules by hand, and the map compared with the colours on views at known positions."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.explainer.segmenters import LandCover
from geoexplain.geography.footprint import Footprint, on_land, pixel_positions
from geoexplain.geography.sphere import great_circle_km
from geoexplain.images import open_image

SIZE_PX = 128
EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"
ROWS = {row["title"]: row for row in json.loads((EXAMPLES / "examples.json").read_text(encoding="utf-8"))}


def view(title: str) -> tuple[Image.Image, Footprint]:
    row = ROWS[title]
    image = open_image(EXAMPLES / row["file"]).resize((SIZE_PX, SIZE_PX), Image.Resampling.BOX)
    return image, Footprint(row["latitude"], row["longitude"], row["side_km"])


@pytest.mark.parametrize(
    ("color", "concept"),
    [
        ((255, 255, 255), "ice and snow"),
        ((150, 160, 170), "ice and snow"),
        ((149, 149, 149), None),
        ((150, 150, 180), None),  # saturation 30/180 = 0.17: too much for ice, too little for water
        ((2, 5, 20), "water"),
        ((0, 0, 0), "water"),
        ((12, 12, 12), "water"),
        ((13, 13, 13), None),
        ((60, 90, 80), "water"),  # B − R = 20, saturation 0.33; excess green is 40/230 = 0.17, but water comes first
        ((200, 170, 120), "desert"),  # mean 163, R − G = 30, excess green 20/490 = 0.04
        ((100, 93, 80), None),  # R − G = 7
        ((90, 80, 60), None),  # mean 77
        ((30, 45, 15), "vegetation"),  # excess green 45/90
        ((100, 120, 80), "vegetation"),  # 60/300 = 0.2
        ((80, 85, 75), None),  # 15/240 = 0.06
    ],
)
def test_colours_by_hand(color: tuple[int, int, int], concept: str | None) -> None:
    masks = LandCover()(Image.new("RGB", (4, 3), color))
    result = [name for name in ("water", "ice and snow", "desert", "vegetation") if masks[name].all()]
    assert result == ([] if concept is None else [concept])
    assert masks["land"].all() == (concept != "water")
    assert not masks["coastline"].any()


def test_the_coastline_is_the_boundary_grown_on_both_sides() -> None:
    pixels = np.full((9, 12, 3), (30, 45, 15), dtype=np.uint8)
    pixels[:, 6:] = (2, 5, 20)
    for coast_px, columns in ((0, range(5, 7)), (2, range(3, 9))):
        masks = LandCover(coast_px)(Image.fromarray(pixels))
        expected = np.isin(np.arange(12), list(columns))
        np.testing.assert_array_equal(masks["coastline"], np.broadcast_to(expected, (9, 12)))
    np.testing.assert_array_equal(masks["water"], np.broadcast_to(np.arange(12) >= 6, (9, 12)))


@pytest.mark.parametrize("title", ["Italy", "New Zealand", "Madagascar", "Borneo", "Iceland", "Baja California"])
def test_water_by_colour_is_the_ocean_of_the_map(title: str) -> None:
    # The two methods are independent; the rules were not set on this rendering.
    image, position = view(title)
    by_colour, by_map = LandCover()(image)["water"], LandCover()(image, position)["ocean"]
    agreement = (by_colour == by_map).mean()
    assert agreement > 0.97
    turned = Footprint(position.lat_deg, position.lon_deg, position.width_km, 180)
    assert (by_colour == LandCover()(image, turned)["ocean"]).mean() < agreement - 0.02


def test_lakes_are_neither_ocean_nor_land() -> None:
    image, position = view("Great Lakes")
    masks = LandCover()(image, position)
    # All five cover 244,000 km², 14 % of the view's 1.69 million; the ends of two lie outside, smaller lakes inside.
    assert 0.13 < masks["lake"].mean() < 0.16
    assert masks["ocean"].mean() < 0.005
    assert not (masks["land"] & masks["lake"]).any()
    by_colour = LandCover()(image)
    # Two independent methods: the lakes of the map, and water by colour.
    assert (by_colour["water"] == masks["lake"] | masks["ocean"]).mean() > 0.95
    assert by_colour["coastline"].mean() > 10 * masks["coastline"].mean()


def test_the_narrowest_view_has_land_and_sea() -> None:
    masks = LandCover()(Image.new("RGB", (6, 4), (2, 5, 20)), Footprint(0, -30, 1e-320))
    assert masks["ocean"].all()


def test_a_lake_of_the_map_is_a_lake_in_any_colour() -> None:
    position = Footprint(-1.0, 33.0, 400)  # Lake Victoria
    white, brown, blue = (
        LandCover()(Image.new("RGB", (40, 40), color), position) for color in ("white", (200, 170, 120), (2, 5, 20))
    )
    assert 0.3 < blue["lake"].mean() < 0.5  # 68,800 of 160,000 km², a little of it outside
    for masks in (white, brown):
        np.testing.assert_array_equal(masks["lake"], blue["lake"])
    assert white["ice and snow"].all()
    np.testing.assert_array_equal(brown["desert"], ~blue["lake"])
    # Water that is not on the map is not land either.
    assert not blue["land"].any()


def test_a_lake_at_the_coast_stays_a_lake() -> None:
    # The IJsselmeer, within 20 km of the sea.
    masks = LandCover()(Image.new("RGB", (60, 60), (2, 5, 20)), Footprint(52.7, 5.3, 120))
    assert masks["lake"][30, 30]
    assert masks["ocean"][5, 5]
    assert not (masks["lake"] & masks["ocean"]).any()


def test_water_near_the_ocean_is_ocean() -> None:
    # A picture of water alone, placed over Italy: land on the map is ocean only near the coast.
    position = Footprint(42.3, 12.9, 1150)
    masks = LandCover()(Image.new("RGB", (60, 60), (2, 5, 20)), position)
    places = pixel_positions(position, (60, 60))
    sea = ~on_land(places)
    to_sea_km = great_circle_km(places[:, :, None], places[sea][None, None]).min(axis=2)
    inland = ~masks["ocean"]
    assert inland.any()
    assert masks["ocean"][to_sea_km < 1].all()
    # One pixel is 19 km, so the tolerance is one pixel, also diagonally.
    assert not inland[(to_sea_km < 20) & ~masks["lake"]].any()
    assert not masks["ocean"][to_sea_km > 29].any()


@pytest.mark.parametrize(
    ("title", "concept", "least"),
    [
        ("The Nile and the Red Sea", "desert", 0.65),
        ("Mouth of the Amazon", "vegetation", 0.7),
        ("Borneo", "vegetation", 0.3),
        ("Southern Greenland", "ice and snow", 0.3),
        ("Great Plains", "desert", 0.4),
        ("Himalaya", "desert", 0.4),
    ],
)
def test_the_main_concept_of_the_examples(title: str, concept: str, least: float) -> None:
    image, position = view(title)
    masks = LandCover()(image, position)
    assert masks[concept].mean() > least
    others = {"ocean", "ice and snow", "desert", "vegetation"} - {concept}
    assert all(not (masks[concept] & masks[other]).any() for other in others)


def test_concepts_do_not_overlap() -> None:
    for title in ROWS:
        image, position = view(title)
        for masks in (LandCover()(image, position), LandCover()(image)):
            kinds = {name: mask for name, mask in masks.items() if name not in {"land", "coastline"}}
            # Sea ice is ice alone; a frozen lake is ice and lake.
            frozen = kinds["ice and snow"] & ~kinds.get("lake", np.False_)
            assert np.sum([*({**kinds, "ice and snow": frozen}).values()], axis=0).max() == 1
            assert all(mask.shape == (SIZE_PX, SIZE_PX) and mask.dtype == np.bool_ for mask in masks.values())


@pytest.mark.parametrize("coast_px", [-1, 101, 1.5])
def test_a_wrong_coastline_is_refused(coast_px) -> None:
    with pytest.raises(DataError, match="0 to 100 px"):
        LandCover(coast_px)


def test_another_mode_is_refused() -> None:
    with pytest.raises(DataError, match="got mode L"):
        LandCover()(Image.new("L", (4, 4)))
