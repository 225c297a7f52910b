"""What a view covers, against the renderer that makes views, geopy, and places that everybody knows."""

import numpy as np
import pytest
import shapely
import torch
from geopy.distance import EARTH_RADIUS as GEOPY_RADIUS_KM
from geopy.distance import great_circle

from geoexplain.errors import DataError
from geoexplain.geography.footprint import Footprint, on_lake, on_land, pixel_positions, within
from geoexplain.geography.gazetteer import load_gazetteer
from geoexplain.geography.sphere import degrees, great_circle_km, unit_vectors
from geoexplain.imagery.earth import Imagery
from geoexplain.imagery.views import ViewPoints, render
from tests.imagery.earths import grid_deg


@pytest.mark.parametrize("rotation_deg", [0, 30, -90])
@pytest.mark.parametrize("center", [(42.3, 12.9), (-17.0, 179.5), (89.0, 40.0)])
def test_pixels_lie_where_the_renderer_took_them_from(center: tuple[float, float], rotation_deg: float) -> None:
    # The renderer draws an earth whose colour is its place; half a texel of 720 rows is 14 km.
    vectors = torch.from_numpy(unit_vectors(grid_deg(720))).reshape(-1, 3)
    texels = torch.cat([(vectors + 1) / 2 * 255, torch.zeros(len(vectors), 1)], dim=1).float()
    earth = Imagery(texels, torch.tensor([0]), torch.tensor([720]), ("places",))
    view = ViewPoints(
        torch.tensor([center]), torch.tensor([1500.0]), torch.tensor([float(rotation_deg)]), torch.tensor([0])
    )
    drawn = degrees(render(earth, view, 32)[0, :3].permute(1, 2, 0).numpy() * 2 - 1)
    ours = pixel_positions(Footprint(*center, 1500, rotation_deg), (32, 32))
    assert great_circle_km(ours, drawn).max() < 2


def test_pixels_of_an_oblong_view_lie_at_their_distance_and_bearing() -> None:
    places = pixel_positions(Footprint(10, 20, 600, 25), (4, 6))
    for row, column in ((0, 0), (3, 5), (1, 4)):
        right, up = (column + 0.5 - 3) * 100, (2 - row - 0.5) * 100
        there = great_circle(kilometers=np.hypot(right, up) * GEOPY_RADIUS_KM / 6371.0)
        expected = there.destination((10, 20), np.degrees(np.arctan2(right, up)) + 25)
        np.testing.assert_allclose(places[row, column], (expected.latitude, expected.longitude), atol=1e-6)


@pytest.mark.parametrize(
    ("place", "land"),
    [
        ((48.85, 2.35), True),  # Paris
        ((47.7, -87.5), True),  # Lake Superior
        ((42.0, 50.5), False),  # the Caspian Sea
        ((0.0, -30.0), False),  # the Atlantic
        ((66.5, -173.0), True),  # Chukotka, beyond the antimeridian
        ((68.0, 179.9), True),
        ((65.0, -169.0), False),  # the Bering Strait
        ((-90.0, 0.0), True),
        ((90.0, 0.0), False),
        ((-80.0, 180.0), False),  # the Ross Ice Shelf
        ((-75.0, 180.0), False),
        ((-85.0, -180.0), True),
    ],
)
def test_land_is_where_it_is(place: tuple[float, float], land: bool) -> None:
    assert on_land([place]).tolist() == [land]


def test_land_agrees_with_a_search_point_by_point() -> None:
    places = pixel_positions(Footprint(66, 179, 5000), (40, 60))
    shapes = load_gazetteer().shapes.geometries
    union = [
        any(shapely.intersects_xy(shapes, lon + turn, lat).any() for turn in (0, 360))
        for lat, lon in places.reshape(-1, 2)
    ]
    land = on_land(places)
    assert land.shape == (40, 60)
    np.testing.assert_array_equal(land.ravel(), union)
    assert 0.2 < land.mean() < 0.9


@pytest.mark.parametrize(
    ("place", "lake"),
    [
        ((47.7, -87.5), True),  # Lake Superior
        ((-6.5, 29.5), True),  # Lake Tanganyika, which some releases lost
        ((46.5, 74.5), True),  # Lake Balkhash
        ((53.5, 108.0), True),  # Lake Baikal
        ((-1.0, 33.0), True),  # Lake Victoria
        ((-0.4, 32.25), False),  # the Sese Islands in it, as far as they are drawn
        ((42.0, 50.5), False),  # the Caspian Sea
        ((48.85, 2.35), False),  # Paris
        ((0.0, -30.0), False),  # the Atlantic
        ((-90.0, 0.0), False),
        ((66.5, -180.0), False),
    ],
)
def test_lakes_are_where_they_are(place: tuple[float, float], lake: bool) -> None:
    assert on_lake([place]).tolist() == [lake]


def test_a_square_lake_by_hand() -> None:
    # Ten pixels of one degree each around 0° N 20° E, their centres at half degrees. Within 5° of the equator the
    # projection moves no point by more than 0.02°, so that a lake from 18.2° to 21.2° E, 1.8° S to 0.2° N covers the
    # centres 18.5, 19.5, 20.5° E (columns 3 to 5) and 0.5, 1.5° S (rows 5 and 6).
    degree_km = 2 * np.pi * 6371.0 / 360
    lake = shapely.STRtree([shapely.box(18.2, -1.8, 21.2, 0.2)])
    expected = np.zeros((10, 10), dtype=bool)
    expected[5:7, 3:6] = True
    np.testing.assert_array_equal(within(pixel_positions(Footprint(0, 20, 10 * degree_km), (10, 10)), lake), expected)
    turned = pixel_positions(Footprint(0, 20, 10 * degree_km, 90), (10, 10))  # east up
    np.testing.assert_array_equal(within(turned, lake), np.rot90(expected))


def test_a_square_lake_across_the_antimeridian() -> None:
    degree_km = 2 * np.pi * 6371.0 / 360
    lake = shapely.STRtree([shapely.box(178.2, -1.8, 181.2, 0.2)])
    for center in (180.0, -180.0):
        masks = within(pixel_positions(Footprint(0, center, 10 * degree_km), (10, 10)), lake)
        assert np.argwhere(masks).tolist() == [[row, column] for row in (5, 6) for column in (3, 4, 5)]


def test_a_lake_around_the_pole_is_a_disc() -> None:
    degree_km = 2 * np.pi * 6371.0 / 360
    cap = shapely.STRtree([shapely.box(-180, 87, 180, 90)])  # three degrees around the pole
    inside = within(pixel_positions(Footprint(90, 0, 10 * degree_km), (10, 10)), cap)
    offsets = np.arange(10) + 0.5 - 5
    np.testing.assert_array_equal(inside, np.hypot(offsets[:, None], offsets) <= 3)


@pytest.mark.parametrize(
    "values",
    [(91, 0, 10), (0, 181, 10), (0, 0, 0), (0, 0, 20_001), (float("nan"), 0, 10), (0, 0, 10, float("inf"))],
)
def test_a_footprint_out_of_range_is_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(DataError, match="footprint: expected"):
        Footprint(*values)
