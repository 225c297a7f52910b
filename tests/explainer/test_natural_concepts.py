"""Concepts from Natural Earth's files: squares at known positions, on land and at the coast."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.explainer.natural_concepts import CONCEPTS, natural_concepts
from geoexplain.explainer.segmenters import LandCover
from geoexplain.geography.footprint import Footprint, on_land, pixel_positions
from tests.geography.maps import square, write_geojson

DEGREE_KM = 2 * np.pi * 6371.0 / 360


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    # In the Sahara, at least 5 degrees from the sea, at 20° N 10° E. Case and spaces of the class names vary.
    of_class = {
        "Desert": square(5, 15, 15, 25),
        "Range/mtn ": square(9.2, 19.2, 11.2, 22.2),
        "range/mtn": square(6.2, 16.2, 7.2, 17.2),
        "Continent": square(-20, -35, 50, 35),
        "Pen/cape": square(8, 40, 20, 46),
    }
    regions = [({"FEATURECLA": name}, [ring]) for name, ring in of_class.items()]
    write_geojson(tmp_path / "ne_50m_geography_regions_polys.json", regions)
    write_geojson(tmp_path / "ne_10m_urban_areas.json", [({}, [square(9.6, 19.6, 9.9, 19.9)])])
    return tmp_path


def test_squares_by_hand(folder: Path) -> None:
    image, position = Image.new("RGB", (10, 10), (200, 170, 120)), Footprint(20, 10, 10 * DEGREE_KM * 0.1)
    masks = natural_concepts(folder)(image, position)
    # One degree across, so that the projection is a plane but for the meridians' convergence: cos 20° = 0.94 to a
    # degree of longitude. The range begins 0.8° west, the city covers 0.1° to 0.4° west and south.
    assert masks["named desert"].all()
    assert masks["mountain range"].all()
    rows, columns = np.argwhere(masks["urban area"]).T
    assert (rows.min(), rows.max()) == (6, 8)  # 0.1 to 0.4 of 0.1° rows below the middle: centres at 0.15 … 0.35
    assert (columns.min(), columns.max()) == (1, 3)  # 0.094 to 0.376 west: centres at 0.35, 0.25, 0.15
    assert not masks["plateau"].any()
    assert "glacier" not in masks  # its layer is missing
    assert set(masks) - set(LandCover()(image, position)) <= set(CONCEPTS)


def test_concepts_end_at_the_sea_and_are_added_to_the_land_cover(folder: Path) -> None:
    image, position = Image.new("RGB", (40, 40), (2, 5, 20)), Footprint(42.3, 12.9, 900)  # Italy
    masks, alone = natural_concepts(folder)(image, position), LandCover()(image, position)
    assert set(masks) > set(alone)
    assert all((masks[name] == alone[name]).all() for name in alone)
    places = pixel_positions(position, (40, 40))
    inside = (places[..., 0] > 40) & (places[..., 0] < 46) & (places[..., 1] > 8) & (places[..., 1] < 20)
    np.testing.assert_array_equal(masks["peninsula"], inside & on_land(places))
    assert not natural_concepts(folder)(image).keys() - LandCover()(image).keys()


def test_a_folder_without_layers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"such as ne_50m_geography_regions_polys\.zip"):
        natural_concepts(tmp_path)
