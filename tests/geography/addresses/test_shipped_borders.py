"""The borders that come with the package are those that would be joined anew, and others are not used."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import shapely

from geoexplain.geography.addresses import borders, shipped_borders
from geoexplain.geography.addresses.borders import BordersByName, joined_borders
from geoexplain.geography.addresses.shipped_borders import FILE, read_borders, write_borders
from geoexplain.geography.gazetteer import WORLD


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A base map of one's own to change."""
    for name in ("countries.npz", FILE):
        shutil.copy(WORLD / name, tmp_path)
    monkeypatch.setattr(shipped_borders, "WORLD", tmp_path)
    monkeypatch.setattr(borders, "WORLD", tmp_path)
    borders._borders_by_name.cache_clear()
    yield tmp_path
    borders._borders_by_name.cache_clear()


def test_shipped_borders_are_those_joined_anew_to_the_last_bit() -> None:
    fresh, shipped = joined_borders(), read_borders(WORLD / FILE)
    assert shipped is not None
    assert shipped.keys() == fresh.keys()
    for named, border in fresh.items():
        assert shapely.to_wkb(shipped[named]) == shapely.to_wkb(border), named
    assert (WORLD / FILE).stat().st_size < 1_000_000


def test_a_corner_off_the_grid_a_hole_and_a_single_polygon_survive(world: Path) -> None:
    ring = shapely.Polygon([(0, 0), (1, 0), (1, 1 / 3), (0, 2)], [[(0.1, 0.1), (0.2, 0.1), (0.2, 0.2)]])
    given = {("country", "A"): ring, ("continent", "A"): shapely.multipolygons([shapely.box(170, -1, 190, 1), ring])}
    write_borders(given, world / FILE)
    found = read_borders(world / FILE)
    assert found is not None
    assert {named: shapely.to_wkb(one) for named, one in found.items()} == {
        named: shapely.to_wkb(one) for named, one in given.items()
    }


def test_another_base_map_has_its_borders_joined_anew_with_a_warning(world: Path) -> None:
    with np.load(world / "countries.npz") as table:
        arrays = dict(table)
    arrays["steps"][0, 0] += 1
    np.savez_compressed(world / "countries.npz", **arrays)
    with pytest.warns(RuntimeWarning, match=r"borders\.npz: expected borders, those of this base map, got those of"):
        (border,) = BordersByName(["country"], ["Italy"])[:]
    assert border is not None
    assert shapely.to_wkb(border) == shapely.to_wkb(joined_borders()["country", "Italy"])


@pytest.mark.parametrize("damage", ["missing", "cut", "no archive"])
def test_a_file_that_cannot_be_read_is_not_used(world: Path, damage: str) -> None:
    whole = (world / FILE).read_bytes()
    (world / FILE).unlink()
    if damage != "missing":
        (world / FILE).write_bytes(whole[:5000] if damage == "cut" else b"no")
    with pytest.warns(RuntimeWarning, match=r"borders\.npz: expected borders, a readable file"):
        assert read_borders(world / FILE) is None


def test_the_borders_of_a_tree_need_no_gazetteer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("the gazetteer is not needed")

    borders._borders_by_name.cache_clear()
    monkeypatch.setattr(borders, "load_territories", refuse)
    monkeypatch.setattr(borders, "load_gazetteer", refuse)
    named = BordersByName(["continent", "city", "country", "country"], ["Europe", "Rome", "Italy", "Nowhere"])
    assert [border is not None for border in named[:]] == [True, False, True, False]
