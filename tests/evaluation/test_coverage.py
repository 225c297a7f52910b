"""How often circles hold the truth: by hand, and for models whose answers are known."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from geoexplain.cli.evaluate_views import coverage_lines
from geoexplain.evaluation.coverage import Coverage, coverage_of
from geoexplain.evaluation.figures import photo_coverage
from geoexplain.evaluation.record import PhotoResult
from geoexplain.evaluation.views import ViewReport, report_of
from geoexplain.geography.partition import Partition
from geoexplain.geography.sphere import degrees, unit_vectors
from geoexplain.images import Preprocess
from geoexplain.locator.backbone import Backbone
from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import predict
from tests.geography.scattered import fibonacci


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


def test_the_lines_of_the_table() -> None:
    half, ninety = coverage_lines(Coverage(0.5, 0.875, 123.4, 2345.6))
    assert " ".join(half.split()) == "truth in the 50 % circle 50.0 %, median radius 123 km"
    assert " ".join(ninety.split()) == "truth in the 90 % circle 87.5 %, median radius 2,346 km"


def report_on(model: GeoModel, turned_deg: float, count: int = 1000) -> ViewReport:
    """Positions all over the Earth, and answers that are sure of the cell of each, or of that so far further east."""
    truth = degrees(np.random.default_rng(0).normal(size=(count, 3)))
    believed = np.stack([truth[:, 0], truth[:, 1] + turned_deg], axis=1)
    logits = torch.from_numpy(1e6 * unit_vectors(believed) @ model.partition.unit_vectors.T)
    return report_of(model, [predict(model, row) for row in logits], truth)


@pytest.fixture(scope="module")
def model() -> GeoModel:
    backbone = Backbone(nn.Identity(), nn.ModuleList([nn.ModuleList([nn.Identity()])]), nn.Identity(), 3, "none")
    cells = Partition("even", tuple(map(str, range(3000))), fibonacci(3000))
    return GeoModel(backbone, nn.Linear(3, 3000), cells, Preprocess(size_px=32), name="hand", device="cpu")


def test_who_knows_the_cell_and_no_more_has_circles_that_hold_the_truth_as_often_as_they_say(model: GeoModel) -> None:
    report = report_on(model, 0.0)
    # A position is anywhere in its cell, a disc of radius 233 km or nearly; three standard errors of 1,000.
    assert report.coverage.half == pytest.approx(0.5, abs=0.048)
    assert report.coverage.ninety == pytest.approx(0.9, abs=0.029)
    assert report.coverage.median_half_radius_km == pytest.approx(233 * math.sqrt(0.5), rel=0.03)
    assert report.coverage.median_radius_90_km == pytest.approx(233 * math.sqrt(0.9), rel=0.05)
    read = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert read["coverage"]["half"] == report.coverage.half


def test_who_is_wrong_has_circles_that_hold_nothing(model: GeoModel) -> None:
    assert report_on(model, 10.0).coverage.ninety < 0.1  # 10° are 1,100 km, but near a pole
