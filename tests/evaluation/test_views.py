"""Figures by which a model is judged, worked out by hand and with models whose answers are known."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from geoexplain.errors import DataError
from geoexplain.evaluation.accuracy import accuracy_by_km, expected_calibration_error
from geoexplain.evaluation.views import evaluate_views, report_of, view_logits
from geoexplain.geography.partition import Partition
from geoexplain.geography.sphere import great_circle_km, unit_vectors
from geoexplain.imagery.conditions import BLOCK, CONDITIONS, ViewSet, views_under
from geoexplain.imagery.earth import Imagery
from geoexplain.images import Preprocess
from geoexplain.locator.backbone import Backbone
from geoexplain.locator.gate import Gate
from geoexplain.locator.model import GeoModel, LocalizableRule
from geoexplain.locator.prediction import Prediction, predict
from tests.imagery.earths import grid_deg

SIZE_PX = 32
SAMPLING: dict = {"footprint_km": (500.0, 2000.0), "rotation_deg": 30.0}


@pytest.fixture(scope="module")
def imagery() -> Imagery:
    """An Earth whose colour is the unit vector of its place: a model that can read colours knows where it is."""
    vectors = torch.from_numpy(unit_vectors(grid_deg(180))).reshape(-1, 3)
    texels = torch.cat([(vectors + 1) / 2 * 255, torch.zeros(len(vectors), 1)], dim=1).float()
    return Imagery(texels, torch.tensor([0]), torch.tensor([180]), ("positions",))


def fibonacci(count: int) -> np.ndarray:
    k = np.arange(count)
    lon = (k * 137.50776405) % 360 - 180
    return np.stack([np.degrees(np.arcsin(1 - (2 * k + 1) / count)), lon], axis=-1)


PREPROCESS = Preprocess(size_px=SIZE_PX)


class MeanDirection(nn.Module):
    """Normalised views (N, 3, S, S) → the direction (N, 3, 1, 1) that their colours mean, on average."""

    def forward(self, x: Tensor) -> Tensor:
        mean, std = torch.tensor(PREPROCESS.mean).view(3, 1, 1), torch.tensor(PREPROCESS.std).view(3, 1, 1)
        direction = (2 * (x * std + mean) - 1).mean(dim=(2, 3))
        return (direction / direction.norm(dim=1, keepdim=True))[..., None, None]


def reader(
    cells: int,
    *,
    sharpness: float = 5000.0,
    turned_deg: float = 0.0,
    threshold: float = 0.5,
    gate: Gate | None = None,
) -> GeoModel:
    """A model that knows where it is: its logits are `sharpness` times the cosine to each cell.

    Turned about the Earth's axis, it is wrong by as much.
    """
    centers = fibonacci(cells)
    turned = np.stack([centers[:, 0], (centers[:, 1] + turned_deg + 180) % 360 - 180], axis=-1)
    blocks = nn.ModuleList([nn.ModuleList([nn.Identity()])])
    head = nn.Linear(3, cells, bias=False)
    head.weight.data = torch.from_numpy(sharpness * unit_vectors(turned)).float()
    backbone = Backbone(nn.Identity(), blocks, MeanDirection(), 3, "colour reader")
    partition = Partition("even", tuple(map(str, range(cells))), centers)
    rule = LocalizableRule(scale_km=750, threshold=threshold)
    return GeoModel(backbone, head, partition, PREPROCESS, name="reader", rule=rule, device="cpu", gate=gate)


def plain(imagery: Imagery, views: int, seed: int = 0) -> ViewSet:
    return views_under(CONDITIONS["plain"], imagery, views=views, seed=seed, **SAMPLING)


def test_who_knows_the_place_is_right(imagery: Imagery) -> None:
    # 3000 cells are 412 km wide: a centre is never more than 300 km off
    report = evaluate_views(reader(3000), plain(imagery, 300))
    assert report.views == 300
    assert report.accuracy_by_km[750] == report.accuracy_by_km[2500] == 1
    # of a disc of a cell's area, radius 233 km, (200 / 233)² lies within 200 km; a hexagon is much the same
    assert report.accuracy_by_km[200] == pytest.approx(0.74, abs=0.08)
    assert report.median_error_km == pytest.approx(233 * math.sqrt(0.5), rel=0.1)
    assert report.cell_accuracy_by_km == report.accuracy_by_km
    assert report.in_domain is None
    assert math.isnan(report.wrongly_localizable)  # none is wrong


def test_who_is_turned_by_ten_degrees_is_wrong_by_as_much(imagery: Imagery) -> None:
    views = plain(imagery, 300)
    report = evaluate_views(reader(3000, turned_deg=10.0), views)
    truth = views.truth_deg.numpy()
    there = np.stack([truth[:, 0], truth[:, 1] - 10], axis=-1)
    expected_km = great_circle_km(truth, there)
    assert report.median_error_km == pytest.approx(np.median(expected_km), rel=0.08)
    assert report.accuracy_by_km[750] == pytest.approx((expected_km < 750).mean(), abs=0.1)
    assert report.accuracy_by_km[2500] == 1
    assert report.calibration_error == pytest.approx(report.mean_confidence, abs=0.1)
    # sure of itself, and wrong beyond 750 km wherever ten degrees are further than that and a cell
    assert report.wrongly_localizable == 1


def test_who_knows_and_hesitates_is_miscalibrated(imagery: Imagery) -> None:
    # always the right cell, at a probability near 1 / 50
    report = evaluate_views(reader(50, sharpness=0.5), plain(imagery, 100))
    assert report.mean_confidence == pytest.approx(0.032, abs=0.005)
    # nearest by the colours' mean and by the truth agree but at borders
    assert report.calibration_error > 0.9
    assert report.localizable == 0
    assert math.isnan(report.localizable_accuracy_by_km[200])


def test_localizable_views_are_counted_apart(imagery: Imagery) -> None:
    report = evaluate_views(reader(3000, sharpness=400.0, threshold=0.0), plain(imagery, 60))
    assert report.localizable == 1
    assert report.localizable_accuracy_by_km == report.accuracy_by_km


def answer(
    model: GeoModel, cell: int, lat_deg: float, *, localizable: bool, in_domain: bool | None = None
) -> Prediction:
    """Seven tenths for one of four cells, and a point on the prime meridian."""
    shares = torch.full((4,), 0.1)
    shares[cell] = 0.7
    found = predict(model, shares.log())
    return replace(found, lat_deg=lat_deg, lon_deg=0.0, localizable=localizable, in_domain=in_domain)


def test_a_report_by_hand() -> None:
    model = reader(4)
    # errors of 0, 1 and 10 degrees: 0, 111 and 1,112 km; and another of 20 degrees, 2,224 km
    answers = [
        answer(model, 0, 10.0, localizable=True, in_domain=True),
        answer(model, 1, 11.0, localizable=False, in_domain=False),
        answer(model, 2, 20.0, localizable=True, in_domain=True),
        answer(model, 3, 30.0, localizable=False),
    ]
    truth = np.array([(10.0, 0.0)] * 4)
    report = report_of(model, answers, truth)
    assert report.accuracy_by_km == {200: 0.5, 750: 0.5, 2500: 1}
    assert report.median_error_km == pytest.approx((111.19 + 1111.95) / 2, abs=0.1)
    assert report.localizable == 0.5
    assert report.localizable_accuracy_by_km == {200: 0.5, 750: 0.5, 2500: 1}
    assert report.wrongly_localizable == 0.5  # one of the two beyond 750 km
    assert report.in_domain == pytest.approx(2 / 3)  # of those that a gate has seen
    assert report.mean_confidence == pytest.approx(0.7)
    centers_km = great_circle_km(model.partition.centers_deg, (10.0, 0.0))
    assert report.cell_accuracy_by_km[2500] == (centers_km < 2500).mean()


def test_what_the_gate_turns_away_is_counted_and_never_localizable(imagery: Imagery) -> None:
    # cells 412 km wide; the gate reads the mean of red, x from 0 to 1, of which 0.5 stands for the plane of 90° E and W
    views, gate = plain(imagery, 80), Gate((1,), np.array([40, 0, 0, 0, 0, 0], np.float32), 0.0, 0.5, "x", "x", {})
    model = reader(3000, gate=gate)
    report = evaluate_views(model, views)
    near_side = (unit_vectors(views.truth_deg.numpy())[:, 0] > 2 * PREPROCESS.mean[0] - 1).mean()
    assert 0.2 < near_side < 0.8
    assert report.in_domain == pytest.approx(near_side, abs=0.04)
    assert report.localizable == report.in_domain
    assert report.accuracy_by_km[750] == 1


def test_the_report_is_json(imagery: Imagery) -> None:
    report = evaluate_views(reader(50, sharpness=0.5), plain(imagery, 5))
    read = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert read["accuracy_by_km"]["2500"] == report.accuracy_by_km[2500]
    assert read["localizable_accuracy_by_km"]["200"] is None
    assert read["wrongly_localizable"] == report.wrongly_localizable == 0
    assert read["in_domain"] is None


def test_a_seed_gives_the_same_views_in_any_batches(imagery: Imagery) -> None:
    heard = []
    views, count = plain(imagery, 2 * BLOCK + 10, seed=3), 2 * BLOCK + 10
    first = view_logits(reader(40).logits, views, PREPROCESS, batch=BLOCK, progress=lambda *x: heard.append(x))
    again = view_logits(reader(40).logits, plain(imagery, count, seed=3), PREPROCESS, batch=4 * BLOCK)
    torch.testing.assert_close(first, again, rtol=1e-4, atol=0.01)
    assert first.shape == (count, 40)
    assert first.device.type == "cpu"
    assert not torch.equal(views.truth_deg, plain(imagery, count, seed=4).truth_deg)
    assert heard == [(BLOCK, count), (2 * BLOCK, count), (count, count)]


@pytest.mark.parametrize("batch", [0, -BLOCK, 10, BLOCK + 1])
def test_other_batches_are_refused(imagery: Imagery, batch: int) -> None:
    with pytest.raises(DataError, match=f"a batch that is a multiple of {BLOCK}, got {batch}"):
        evaluate_views(reader(4), plain(imagery, 10), batch=batch)


def test_accuracy_by_hand() -> None:
    errors = np.array([0.0, 199.9, 200.0, 749.0, 5000.0])
    assert accuracy_by_km(errors, (200, 750, 2500)) == {200: 0.4, 750: 0.8, 2500: 0.8}
    assert all(math.isnan(share) for share in accuracy_by_km(np.array([]), (200, 750)).values())


def test_calibration_error_by_hand() -> None:
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.35, 0.35])
    correct = np.array([True, True, True, False, True, False])
    # four at 0.95 of which 3/4 are right, two at 0.35 of which 1/2
    expected = 4 / 6 * abs(0.75 - 0.95) + 2 / 6 * abs(0.5 - 0.35)
    assert expected_calibration_error(confidence, correct, bins=10) == pytest.approx(expected)
    # in one bin the two gaps partly cancel
    assert expected_calibration_error(confidence, correct, bins=1) == pytest.approx(abs(4 / 6 - confidence.mean()))


def test_a_bin_holds_its_upper_bound() -> None:
    # 0.5 belongs with 0.3, not with 0.7: gaps |1 − 0.4| and |0 − 0.7|
    found = expected_calibration_error(np.array([0.3, 0.5, 0.7]), np.array([True, True, False]), bins=2)
    assert found == pytest.approx(2 / 3 * 0.6 + 1 / 3 * 0.7)
    assert expected_calibration_error(np.array([0.0, 1.0]), np.array([False, True]), bins=15) == 0
    assert expected_calibration_error(np.array([]), np.array([], dtype=bool)) == 0


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_calibration_error_is_that_of_guo_written_out(bins: int) -> None:
    rng = np.random.default_rng(bins)
    confidence = rng.uniform(0, 1, 500)
    correct = rng.uniform(0, 1, 500) < confidence**2
    expected = 0.0
    for low in np.arange(bins) / bins:  # Guo et al. 2017, eq. 1 to 3
        inside = [i for i in range(500) if low < confidence[i] <= low + 1 / bins]
        if inside:
            accuracy = sum(bool(correct[i]) for i in inside) / len(inside)
            expected += len(inside) / 500 * abs(accuracy - sum(confidence[i] for i in inside) / len(inside))
    assert expected_calibration_error(confidence, correct, bins) == pytest.approx(expected)
