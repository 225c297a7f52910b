"""The figures by hand."""

import json
import math

import pytest

from geoexplain.evaluation.figures import RADII_KM, density_bins, figures_of, table_of
from geoexplain.evaluation.plot import plot_error_by_density
from geoexplain.evaluation.record import PhotoResult


def answer(error_km: float, density: float, localizable: bool, searched: float | None = None) -> PhotoResult:
    return PhotoResult(
        "x", status="ok", error_km=error_km, density=density, localizable=localizable, swc_error_km=searched
    )


RESULTS = (
    answer(0.05, 0.9, True),
    answer(0.1, 0.35, True),
    answer(24.999, 0.3, True),
    answer(25.0, 0.05, False),
    answer(3000.0, 0.0, False),
    PhotoResult("y", status="unreadable", reason="broken"),
    PhotoResult("z"),
)


def test_figures_of_five_photos_by_hand() -> None:
    table = table_of(RESULTS)
    assert list(table) == ["predicted point"]
    everything, localizable, others = table["predicted point"].values()
    # below, not at: 0.1 km is not within 0.1 km, 25 km not within 25 km
    assert everything.accuracy_by_km == {0.1: 0.2, 1: 0.4, 25: 0.6, 200: 0.8, 750: 0.8, 2500: 0.8}
    assert (everything.photos, everything.median_error_km) == (5, 24.999)
    assert localizable.accuracy_by_km == {0.1: 1 / 3, 1: 2 / 3, 25: 1, 200: 1, 750: 1, 2500: 1}
    assert (localizable.photos, localizable.median_error_km) == (3, 0.1)
    assert others.accuracy_by_km == {0.1: 0, 1: 0, 25: 0, 200: 0.5, 750: 0.5, 2500: 0.5}
    assert (others.photos, others.median_error_km) == (2, 1512.5)


def test_search_within_cell_has_a_column_of_its_own() -> None:
    table = table_of([answer(30.0, 0.5, True, 0.5), answer(40.0, 0.5, True, 40.0)])
    assert table["predicted point"]["all"].accuracy_by_km[1] == 0
    assert table["Search within Cell"]["all"].accuracy_by_km[1] == 0.5
    assert table["Search within Cell"]["all"].median_error_km == 20.25
    assert table["Search within Cell"]["not localizable"].photos == 0


def test_nothing_has_no_figures() -> None:
    none = figures_of([])
    assert none.photos == 0
    assert math.isnan(none.median_error_km)
    assert all(math.isnan(share) for share in none.accuracy_by_km.values())
    written = json.loads(json.dumps(none.as_dict(), allow_nan=False))
    assert written == {
        "photos": 0,
        "accuracy_by_km": dict.fromkeys(("0.1", "1", "25", "200", "750", "2500")),
        "median_error_km": None,
    }
    assert RADII_KM == (0.1, 1, 25, 200, 750, 2500)


def test_bins_of_density_by_hand() -> None:
    bins = density_bins([*RESULTS, answer(100.0, 1.0, True, 10.0)], 10)
    assert [b.figures.photos for b in bins] == [2, 0, 0, 2, 0, 0, 0, 0, 0, 2]
    assert bins[0].figures.median_error_km == 1512.5
    assert bins[3].figures.accuracy_by_km == {25: 1, 200: 1, 750: 1}
    # the last bin holds its upper bound, and the error is that after the search
    assert bins[9].figures.median_error_km == pytest.approx((0.05 + 10) / 2)
    assert (bins[3].low, bins[3].high) == (0.3, 0.4)


def test_equal_figures_give_equal_pictures(tmp_path) -> None:
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for file in files:
        plot_error_by_density(density_bins(RESULTS), r"a <title> with $\signs$ and \x", 25, file)
    assert files[0].read_bytes() == files[1].read_bytes()
    plot_error_by_density(density_bins([]), "nothing", 25, files[1])
    assert files[1].read_bytes() != files[0].read_bytes()
