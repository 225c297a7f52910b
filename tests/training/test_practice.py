"""The practice set: what it says of itself holds, and every photo shows its position."""

from pathlib import Path

import numpy as np
import pytest

from geoexplain.errors import DataError
from geoexplain.geography.gazetteer import load_gazetteer
from geoexplain.geography.sphere import great_circle_km
from geoexplain.imagery.earth import load_imagery
from geoexplain.training.practice import FARTHEST_KM, practice_photos, practice_set
from tests.imagery.earths import grid_deg, write_png


def test_positions_are_those_of_people() -> None:
    places = practice_set(20_000, seed=3)
    assert len(places) == len(places.authors) == 20_000
    assert (np.abs(places.points_deg) <= (90, 180)).all()
    assert (places.points_deg == places.points_deg.round(5)).all()
    authors, photos = np.unique(places.authors, return_counts=True)
    assert authors.tolist() == list(range(len(authors)))
    assert photos.mean() == pytest.approx(20, rel=0.1)
    steps_km = great_circle_km(places.points_deg[:-1], places.points_deg[1:])
    # Of the photos that are not an author's first, nine in ten stay in the city, and 15 % of those on the spot.
    assert (steps_km == 0).mean() == pytest.approx(0.95 * 0.9 * 0.15, rel=0.1)
    assert (steps_km > 2 * FARTHEST_KM).mean() == pytest.approx(0.05 + 0.95 * 0.1, rel=0.1)


def test_they_lie_around_cities_and_larger_ones_have_more() -> None:
    gazetteer, places = load_gazetteer(), practice_set(20_000)
    large = np.flatnonzero(gazetteer.city_population > 5e6)
    near = [(great_circle_km(gazetteer.city_deg[city], places.points_deg) < 50).sum() for city in large]
    assert np.mean(near) > 20_000 / len(gazetteer.cities) * 10


def test_a_seed_is_a_set() -> None:
    one, again, other = practice_set(500, 7), practice_set(500, 7), practice_set(500, 8)
    assert (one.points_deg == again.points_deg).all()
    assert not (one.points_deg == other.points_deg).any()


def test_a_photo_shows_its_position(tmp_path: Path) -> None:
    # Red grows from south to north, green from west to east: the middle of a view says where it is.
    lat, lon = np.moveaxis(grid_deg(720), -1, 0)
    pixels = np.stack([(lat + 90) / 180, (lon + 180) / 360, np.zeros_like(lat)], axis=-1)
    imagery = load_imagery([write_png(tmp_path, (pixels * 255).round().astype(np.uint8))])
    points = np.array([[40.0, -100.0], [-30.0, 20.0], [5.0, 140.0]])
    photos = list(practice_photos(imagery, points, 33, seed=1))
    for point, photo in zip(points, photos, strict=True):
        red, green, _ = photo.getpixel((16, 16))
        assert red / 255 * 180 - 90 == pytest.approx(point[0], abs=1.5)
        assert green / 255 * 360 - 180 == pytest.approx(point[1], abs=3)
        assert (photo.mode, photo.size) == ("RGB", (33, 33))


def test_errors() -> None:
    with pytest.raises(DataError, match="expected from 1 to 20,000,000 coordinates, got 0"):
        practice_set(0)
