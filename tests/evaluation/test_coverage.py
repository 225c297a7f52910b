"""How often circles hold the truth, by hand."""

import json
import math

from geoexplain.evaluation.coverage import coverage_of
from geoexplain.evaluation.figures import photo_coverage
from geoexplain.evaluation.record import PhotoResult


def test_coverage_by_hand() -> None:
    found = coverage_of([10, 100, 200, 5000], [10, 50, 300, 100], [20, 100, 400, 4000])
    assert (found.half, found.ninety) == (0.5, 0.75)  # a circle holds its edge
    assert (found.median_half_radius_km, found.median_radius_90_km) == (75, 250)
    assert json.loads(json.dumps(found.as_dict())) == {
        "half": 0.5, "ninety": 0.75, "median_half_radius_km": 75, "median_radius_90_km": 250
    }  # fmt: skip


def test_nothing_covers_nothing() -> None:
    found = coverage_of([], [], [])
    assert math.isnan(found.half)
    assert set(found.as_dict().values()) == {None}


def test_photos_without_an_answer_do_not_count() -> None:
    read = PhotoResult("a", status="ok", error_km=5.0, half_radius_km=6.0, radius_90_km=9.0, swc_error_km=100.0)
    far = PhotoResult("b", status="ok", error_km=50.0, half_radius_km=6.0, radius_90_km=90.0)
    found = photo_coverage([read, far, PhotoResult("c"), PhotoResult("d", status="unreadable")])
    assert (found.half, found.ninety) == (0.5, 1.0)
    assert math.isnan(photo_coverage([PhotoResult("c")]).half)
