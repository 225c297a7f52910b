"""Predictions worked out by hand, and the densities of the published implementation."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from geoexplain.errors import DataError
from geoexplain.geography.partition import Partition
from geoexplain.geography.sphere import great_circle_km
from geoexplain.images import Preprocess
from geoexplain.locator.backbone import Backbone
from geoexplain.locator.model import GeoModel, LocalizableRule
from geoexplain.locator.prediction import RADII_KM, SIGMA_OF_WIDTH, neighbourhood_mean, predict, prediction_density
from geoexplain.locator.retrieval import SearchWithinCell
from geoexplain.locator.spread import spread_probability

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "prediction_density.json").read_text())
KM_PER_DEGREE = 6371 * np.pi / 180  # 111.19
# along the equator: 0, 0.2, 1.5, 6, 20 degrees, or 0, 22, 167, 667, 2224 km from the first
LON = np.array([0.0, 0.2, 1.5, 6.0, 20.0, 40.0])
PROBABILITIES = np.array([0.40, 0.05, 0.10, 0.15, 0.20, 0.10])


def partition_of(centers: np.ndarray) -> Partition:
    return Partition("test", tuple(f"cell {i}" for i in range(len(centers))), centers)


def model_of(
    centers: np.ndarray,
    *,
    rule: LocalizableRule | None = None,
    refine_km: float | None = None,
    sigma_km: float | None = None,
) -> GeoModel:
    backbone = Backbone(nn.Identity(), nn.ModuleList([nn.ModuleList([nn.Identity()])]), nn.Identity(), 3, "none")
    head = nn.Linear(3, len(centers))
    settings = {"name": "hand", "rule": rule, "refine_km": refine_km, "sigma_km": sigma_km, "device": "cpu"}
    return GeoModel(backbone, head, partition_of(centers), Preprocess(size_px=32), **settings)


EQUATOR = np.stack([np.zeros(6), LON], axis=-1)


def logits_of(probabilities: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.log(probabilities) + 3.7)


def test_a_prediction_by_hand() -> None:
    prediction = predict(model_of(EQUATOR), logits_of(PROBABILITIES))
    assert prediction.cell == 0
    np.testing.assert_allclose(prediction.probabilities, PROBABILITIES, rtol=1e-12)
    assert (prediction.lat_deg, prediction.lon_deg) == (0.0, 0.0)
    assert prediction.source == "cell centre"
    assert RADII_KM == (1, 25, 200, 750, 2500)
    assert prediction.density_by_km == pytest.approx({1: 0.40, 25: 0.45, 200: 0.55, 750: 0.70, 2500: 0.90})


def test_a_row_of_one_image_is_the_same() -> None:
    model, logits = model_of(EQUATOR), logits_of(PROBABILITIES)
    assert predict(model, logits[None]).density_by_km == predict(model, logits).density_by_km


def test_the_bound_belongs_to_the_radius() -> None:
    cells = partition_of(EQUATOR)
    radius_km = float(great_circle_km(EQUATOR[0], EQUATOR[3]))
    assert radius_km == pytest.approx(6 * KM_PER_DEGREE)
    assert prediction_density(PROBABILITIES, cells, 0, radius_km) == pytest.approx(0.70)
    assert prediction_density(PROBABILITIES, cells, 0, np.nextafter(radius_km, 0)) == pytest.approx(0.55)
    assert prediction_density(PROBABILITIES, cells, 5, 0) == pytest.approx(0.10)


def test_density_is_measured_from_the_given_cell() -> None:
    # from the cell at 20°: those at 6° and 1.5° are 1,557 and 2,057 km away, that at 40° is 2,224 km away
    assert prediction_density(PROBABILITIES, partition_of(EQUATOR), 4, 2100) == pytest.approx(0.20 + 0.15 + 0.10)


def test_density_runs_across_the_antimeridian_and_the_pole() -> None:
    cells = partition_of(np.array([(0.0, 179.9), (0.0, -179.9), (89.9, 0.0), (89.9, 180.0)]))
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    assert prediction_density(shares, cells, 0, 25) == pytest.approx(0.7)
    assert prediction_density(shares, cells, 3, 25) == pytest.approx(0.3)


@pytest.mark.parametrize("image", ["300x400", "420x310"])
def test_densities_and_point_are_the_published_implementation_s(image: str) -> None:
    centers, expected = np.array(GOLDEN["centers_deg"]), GOLDEN["images"][image]
    prediction = predict(model_of(centers), logits_of(np.array(expected["probabilities"])))
    np.testing.assert_allclose((prediction.lat_deg, prediction.lon_deg), expected["point_deg"], atol=1e-6)
    densities = [prediction.density_by_km[radius] for radius in (1, 25, 200, 750, 2500)]
    np.testing.assert_allclose(densities, expected["density"], rtol=1e-5)


@pytest.mark.parametrize(
    ("scale_km", "threshold", "localizable"),
    [(25, 0.44, True), (25, 0.46, False), (750, 0.69, True), (750, 0.71, False), (2500, 0.89, True)],
)
def test_localizable_is_a_density_above_the_threshold_of_the_rule(
    scale_km: int, threshold: float, localizable: bool
) -> None:
    model = model_of(EQUATOR, rule=LocalizableRule(scale_km, threshold))
    assert predict(model, logits_of(PROBABILITIES)).localizable is localizable


def test_a_density_at_the_threshold_is_not_above_it() -> None:
    far = np.array([(0.0, 0.0), (0.0, 90.0)])
    equal = torch.zeros(2)
    assert predict(model_of(far, rule=LocalizableRule(25, 0.5)), equal).localizable is False
    assert predict(model_of(far, rule=LocalizableRule(25, float(np.nextafter(0.5, 0)))), equal).localizable is True


def test_the_published_rule_is_the_default() -> None:
    assert model_of(EQUATOR).rule == LocalizableRule(scale_km=25, threshold=0.2)


def test_best_cells_come_in_order_and_equal_ones_in_that_of_the_partition() -> None:
    prediction = predict(model_of(EQUATOR), torch.tensor([1.0, 3.0, 2.0, 3.0, 2.0, 0.0]))
    assert prediction.cell == 1
    assert prediction.top(5) == [1, 3, 2, 4, 0]
    assert prediction.top(99) == [1, 3, 2, 4, 0, 5]


def test_many_equal_cells_come_in_the_order_of_the_partition() -> None:
    cells = 300  # short rows are sorted in order by any algorithm
    model = model_of(np.stack([np.linspace(-80, 80, cells), np.zeros(cells)], axis=-1))
    logits = torch.tensor([0.0, 1.0, 2.0]).repeat(100)
    expected = [*range(2, 300, 3), *range(1, 300, 3), *range(0, 300, 3)]
    prediction = predict(model, logits)
    assert prediction.cell == 2
    assert prediction.top(cells) == expected


def test_a_neighbourhood_mean_by_hand() -> None:
    # 0.6 at 0° and 0.3 at 4° of longitude; the cell at 90° is too far away to count
    centers = np.array([(0.0, 0.0), (0.0, 4.0), (0.0, 90.0)])
    lat, lon = neighbourhood_mean(np.array([0.6, 0.3, 0.1]), partition_of(centers), 0, 600)
    angle = np.radians(4)
    expected = np.degrees(np.arctan2(0.3 * np.sin(angle), 0.6 + 0.3 * np.cos(angle)))
    assert (lat, lon) == pytest.approx((0, expected), abs=1e-9)
    refined = predict(model_of(centers, refine_km=600), logits_of(np.array([0.6, 0.3, 0.1])))
    assert (refined.lat_deg, refined.lon_deg) == pytest.approx((lat, lon))
    assert refined.source == "mean of neighbouring cells"
    assert refined.cell == 0


def test_a_neighbourhood_mean_across_the_antimeridian() -> None:
    cells = partition_of(np.array([(0.0, 179.0), (0.0, -179.0)]))
    lat, lon = neighbourhood_mean(np.array([0.5, 0.5]), cells, 0, 400)
    assert lat == pytest.approx(0, abs=1e-9)
    assert abs(lon) == pytest.approx(180)


@pytest.mark.parametrize("spread", [0.0, 800.0, -800.0, 1e30])
def test_probabilities_of_extreme_logits_are_numbers(spread: float) -> None:
    prediction = predict(model_of(EQUATOR), torch.tensor([spread, 0.0, 0.0, 0.0, 0.0, 0.0]))
    assert np.isfinite(prediction.probabilities).all()
    assert prediction.probabilities.sum() == pytest.approx(1)
    assert max(prediction.density_by_km.values()) <= 1


@pytest.mark.parametrize(
    "logits",
    [
        torch.zeros(5),
        torch.zeros(2, 3),
        torch.zeros(2, 6),
        torch.tensor([0.0, 0.0, float("nan"), 0.0, 0.0, 0.0]),
        torch.tensor([0.0, 0.0, float("inf"), 0.0, 0.0, 0.0]),
    ],
    ids=["too few", "two by three", "two images", "nan", "infinity"],
)
def test_invalid_logits_are_refused(logits: torch.Tensor) -> None:
    with pytest.raises(DataError, match="model hand: expected 6 finite logits"):
        predict(model_of(EQUATOR), logits)


@pytest.mark.parametrize(
    ("rule", "density", "localizable"),
    [
        (None, 0.45, True),  # 25 km and 0.2, the model's own
        (LocalizableRule(25, 0.45), 0.45, False),  # must exceed the threshold
        (LocalizableRule(100, 0.44), 0.45, True),
        (LocalizableRule(0, 0.3), 0.40, True),
        (LocalizableRule(20_100, 0.999), 1.0, True),
    ],
)
def test_a_rule_is_a_setting(rule: LocalizableRule | None, density: float, localizable: bool) -> None:
    prediction = predict(model_of(EQUATOR), logits_of(PROBABILITIES), rule=rule)
    assert prediction.density == pytest.approx(density)
    assert prediction.localizable is localizable
    assert prediction.rule == (rule or LocalizableRule(25, 0.2))


@pytest.mark.parametrize("wrong", [(-1, 0.2), (20_101, 0.2), (25, -0.1), (25, 1.1), (np.nan, 0.2), (25, np.nan)])
def test_a_rule_out_of_range_is_refused(wrong: tuple[float, float]) -> None:
    with pytest.raises(DataError, match="expected a scale from 0 to 20,100 km and a threshold from 0 to 1"):
        LocalizableRule(*wrong)


@dataclass(frozen=True)
class Photos:
    """Return a gallery of three photos in cell 0: two close together, and the most similar one alone."""

    name: str = "photos"
    dim: int = 3
    model: str | None = None

    def __len__(self) -> int:
        return 3

    def rows_of(self, cell: int) -> np.ndarray:
        return np.arange(3 if cell == 0 else 0)

    def features(self, rows: np.ndarray) -> np.ndarray:
        return np.array([[1, 0, 0], [0.6, 0.8, 0], [0.6, 0.8, 0]], dtype=np.float32)[rows]

    def positions_deg(self, rows: np.ndarray) -> np.ndarray:
        return np.array([(0.0, 5.0), (1.0, 0.0), (1.004, 0.0)])[rows]


def test_search_within_cell_moves_the_point_to_the_largest_cluster() -> None:
    model, search = model_of(EQUATOR), SearchWithinCell(Photos())
    prediction = predict(model, logits_of(PROBABILITIES), features=torch.tensor([2.0, 0.0, 0.0]), search=search)
    assert prediction.source == "search within cell"
    assert (prediction.lat_deg, prediction.lon_deg) == pytest.approx((1.002, 0.0))
    found = prediction.neighbours
    assert found is not None
    assert found.rows.tolist() == [0, 1, 2]
    assert found.similarity.tolist() == pytest.approx([1, 0.6, 0.6])
    assert found.chosen.tolist() == [False, True, True]
    assert found.moved_km == pytest.approx(1.002 * KM_PER_DEGREE)


def test_a_cell_without_photos_keeps_its_centre() -> None:
    model, search = model_of(EQUATOR), SearchWithinCell(Photos())
    prediction = predict(model, logits_of(PROBABILITIES[::-1].copy()), features=torch.ones(3), search=search)
    assert prediction.cell == 5
    assert prediction.neighbours is None
    assert (prediction.source, prediction.lon_deg) == ("cell centre", 40.0)


GRID = np.stack([side.ravel() for side in np.mgrid[-4:5.0, -4:5.0]], axis=1)  # cells of one degree
MIDDLE = 40


def sure_of(cell: int) -> torch.Tensor:
    return torch.from_numpy(np.where(np.arange(len(GRID)) == cell, 30.0, 0.0))


def test_a_cell_is_spread_evenly_where_the_point_is_its_centre() -> None:
    prediction = predict(model_of(GRID), sure_of(MIDDLE))
    # A square of 111 km: its inner circle holds π/4 of it, half lies within the circle of half its area.
    assert prediction.cell_width_km == pytest.approx(2 * KM_PER_DEGREE / np.sqrt(np.pi), rel=0.01)
    assert prediction.half_radius_km == pytest.approx(KM_PER_DEGREE / np.sqrt(2 * np.pi), rel=0.02)
    assert prediction.radius_90_km == pytest.approx(prediction.spread.radius_km(0.9))
    assert prediction.spread.within(KM_PER_DEGREE / 2) == pytest.approx(np.pi / 4, abs=0.02)
    assert list(prediction.density_by_area) == list(RADII_KM)
    assert prediction.density_by_area[25] == pytest.approx(np.pi * 25**2 / KM_PER_DEGREE**2, abs=0.01)
    assert prediction.density_by_area[200] == 1
    assert prediction.density_by_km[1] == pytest.approx(1)  # by cell centres, all lies within a kilometre


def test_around_a_mean_of_neighbours_the_probability_scatters_as_the_model_says() -> None:
    narrow, wide, usual = (
        predict(model_of(GRID, refine_km=150, sigma_km=sigma), sure_of(MIDDLE)) for sigma in (20.0, 1e5, None)
    )
    assert narrow.half_radius_km == pytest.approx(20 * np.sqrt(2 * np.log(2)), rel=0.04)  # of a normal distribution
    assert wide.half_radius_km == pytest.approx(predict(model_of(GRID), sure_of(MIDDLE)).half_radius_km, rel=0.001)
    # The default for a model without its own σ is a quarter of a cell's width.
    quarter = SIGMA_OF_WIDTH * narrow.cell_width_km
    said = predict(model_of(GRID, refine_km=150, sigma_km=quarter), sure_of(MIDDLE))
    assert usual.half_radius_km == pytest.approx(said.half_radius_km, rel=0.02)
    assert narrow.half_radius_km < usual.half_radius_km < wide.half_radius_km


def test_distances_are_measured_from_the_result_of_the_search() -> None:
    prediction = predict(
        model_of(EQUATOR),
        logits_of(PROBABILITIES),
        features=torch.tensor([2.0, 0.0, 0.0]),
        search=SearchWithinCell(Photos()),
    )
    expected = spread_probability(prediction.probabilities, partition_of(EQUATOR), (1.002, 0.0))
    assert prediction.half_radius_km == pytest.approx(float(expected.radius_km(0.5)), rel=1e-6)


def test_without_a_spread_distances_raise_an_error() -> None:
    prediction = replace(predict(model_of(EQUATOR), logits_of(PROBABILITIES)), spread=None)
    for name in ("density_by_area", "half_radius_km", "radius_90_km", "cell_width_km"):
        with pytest.raises(DataError, match="expected its probability spread over areas"):
            getattr(prediction, name)


def test_a_search_without_features_is_refused() -> None:
    with pytest.raises(DataError, match="expected the image's features"):
        predict(model_of(EQUATOR), logits_of(PROBABILITIES), search=SearchWithinCell(Photos()))
