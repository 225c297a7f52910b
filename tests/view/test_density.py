"""The curve of the prediction density, against the prediction density itself."""

import numpy as np
import pytest

from geoexplain.geography.partition import Partition
from geoexplain.locator.model import LocalizableRule
from geoexplain.locator.prediction import RADII_KM, Prediction, prediction_density
from geoexplain.view.density import MOST_POINTS, density_curve

DEGREE_KM = 6371.0 * np.pi / 180


def partition_of(centers: np.ndarray) -> Partition:
    return Partition("test", tuple(f"cell {i}" for i in range(len(centers))), np.asarray(centers, float))


def prediction_of(probabilities: np.ndarray, scale_km: float = 25) -> Prediction:
    shares = np.asarray(probabilities, float)
    return Prediction(
        int(shares.argmax()), shares, 0.0, 0.0, {}, LocalizableRule(scale_km, 0.2), 0.0, True, "cell centre"
    )


def read_off(curve: np.ndarray, scale_km: float) -> float:
    """As the browser does it: the last step that is no farther than the scale."""
    return float(curve[curve[:, 0] <= scale_km][-1, 1])


def test_by_hand() -> None:
    partition = partition_of([[0, 0], [0, 1], [0, -1], [0, 10], [0, 180]])
    curve = density_curve(prediction_of([0.5, 0.2, 0.1, 0.15, 0.05]), partition)
    expected = [(0, 0.5), (DEGREE_KM, 0.8), (10 * DEGREE_KM, 0.95), (180 * DEGREE_KM, 1.0)]
    np.testing.assert_allclose(curve, expected, rtol=0, atol=0.001)
    assert (curve[:, 0] >= np.array(expected)[:, 0] - 1e-9).all()  # rounded up, so that no scale includes too much


def random_case(cells: int, sharpness: float, seed: int) -> tuple[Partition, Prediction]:
    rng = np.random.default_rng(seed)
    z, lon = rng.uniform(-1, 1, cells), rng.uniform(-180, 180, cells)
    shares = np.exp(sharpness * rng.normal(size=cells))
    partition = partition_of(np.stack([np.degrees(np.arcsin(z)), lon], axis=1))
    return partition, prediction_of(shares / shares.sum(), scale_km=137.5)


@pytest.mark.parametrize("cells", [1, 2, 150])
def test_few_cells_lose_nothing(cells: int) -> None:
    partition, prediction = random_case(cells, 2.0, cells)
    curve = density_curve(prediction, partition)
    for scale_km in [0, *RADII_KM, *np.random.default_rng(1).uniform(0, 20100, 50).round(3), 20100]:
        exact = prediction_density(prediction.probabilities, partition, prediction.cell, scale_km)
        assert read_off(curve, scale_km) == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("sharpness", [0.0, 2.0, 6.0])
def test_many_cells_become_few_points_that_are_exact_where_it_matters(sharpness: float) -> None:
    partition, prediction = random_case(31_145, sharpness, 3)
    curve = density_curve(prediction, partition)
    assert len(curve) <= MOST_POINTS == 200
    assert (np.diff(curve, axis=0) >= 0).all()
    assert curve[0, 0] == 0
    for scale_km in (*RADII_KM, 137.5, 20100):
        exact = prediction_density(prediction.probabilities, partition, prediction.cell, scale_km)
        assert read_off(curve, scale_km) == pytest.approx(exact, abs=1e-9)
    for scale_km in np.random.default_rng(2).uniform(0, 20100, 300):
        exact = prediction_density(prediction.probabilities, partition, prediction.cell, scale_km)
        assert exact - 1 / 190 < read_off(curve, scale_km) <= exact + 1e-9


def test_a_scale_in_metres_includes_what_lies_exactly_there() -> None:
    # 25.0004 km away: not within 25 km, although it would be if distances were rounded to the nearest metre.
    partition = partition_of([[0, 0], [0, 25.0004 / DEGREE_KM], [0, -25 / DEGREE_KM]])
    curve = density_curve(prediction_of([0.5, 0.3, 0.2]), partition)
    assert read_off(curve, 25) == pytest.approx(0.7)
    assert read_off(curve, 25.001) == pytest.approx(1)
