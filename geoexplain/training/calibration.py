"""Calibration: fit the temperatures of a head, and the scatter σ of the truth around the predicted point."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from geoexplain.geography.cell_areas import cell_areas
from geoexplain.geography.partition import Partition
from geoexplain.geography.sphere import great_circle_km
from geoexplain.locator.heads import Head, MultiPartitionHead, VonMisesFisherHead
from geoexplain.locator.prediction import neighbourhood_mean
from geoexplain.locator.spread import Scatter, spread_probability

REFINE_KM = 500.0

SIGMA_VIEWS = 2000
"""Most views that σ is fitted on; they determine it to about 2 %."""

WIDEST_SIGMA_KM = 20_000.0
"""Upper bound of σ: half of the Earth's circumference."""

NO_TEMPERATURE = 1.0


def fit_temperature(logits: Tensor, cells: NDArray[np.int64]) -> float:
    """Fit the temperature T > 0 for which softmax(logits / T) gives the true cells the highest likelihood.

    logits (N, K), cells (N,). Guo et al. 2017, sect. 4.2. The search runs on a logarithmic grid from 0.25 to 16, then
    refines the best value to 0.1 %. The lower bound is closer to 1 than the upper: otherwise a few photos that
    are all predicted correctly would make the model certain.
    """
    rows, truth = logits.double(), torch.from_numpy(cells)

    def loss(temperature: float) -> float:
        return float(torch.nn.functional.cross_entropy(rows / temperature, truth))

    low, high = np.log(0.25), np.log(16.0)
    while high - low > 1e-3:
        grid = np.linspace(low, high, 9)
        best = int(np.argmin([loss(float(np.exp(t))) for t in grid]))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 8)]
    return float(np.exp((low + high) / 2))


def fit_sigma(
    logits: Tensor, truth_deg: NDArray[np.float64], centers_deg: NDArray[np.float64], refine_km: float = REFINE_KM
) -> float:
    """Fit σ in km, the scatter of the truth around the predicted point, so that circles cover the truth as stated.

    logits (N, K), divided by the temperature; truth_deg (N, 2) and centers_deg (K, 2) in degrees. The predicted point
    is the mean of the cells within `refine_km` of the top cell. For a calibrated model, the probability mass nearer to
    the predicted point than the truth is uniform in [0, 1] over the images (probability integral transform: Gneiting,
    Balabdaoui, Raftery 2007). σ minimizes the Cramér–von Mises distance to the uniform distribution, which favours
    neither the 50 % nor the 90 % circle. At most SIGMA_VIEWS rows are used. The search runs from a twentieth of the
    median cell width (points accurate within a cell) to twice that width (points no more accurate than the cells).
    """
    partition = Partition("calibration", tuple(map(str, range(len(centers_deg)))), centers_deg)
    shares = torch.softmax(logits[:SIGMA_VIEWS].double(), dim=-1).numpy()
    cells = shares.argmax(axis=1)
    points = np.array(
        [neighbourhood_mean(row, partition, cell, refine_km) for row, cell in zip(shares, cells, strict=True)]
    )
    near = [great_circle_km(centers_deg[cell], centers_deg) <= refine_km for cell in cells]
    error_km = great_circle_km(points, truth_deg[: len(points)])
    even = (np.arange(len(points)) + 0.5) / len(points)

    def distance(log_sigma: float) -> float:
        nearer = [
            spread_probability(
                row, partition, point, scatter=Scatter(float(point[0]), float(point[1]), mask, math.exp(log_sigma))
            ).within(km)
            for row, point, mask, km in zip(shares, points, near, error_km, strict=True)
        ]
        return float(((np.sort(nearer) - even) ** 2).mean())

    width_km = float(np.median(cell_areas(partition).width_km))
    bounds = math.log(0.05 * width_km), math.log(min(2 * width_km, WIDEST_SIGMA_KM))
    result = minimize_scalar(distance, bounds=bounds, method="bounded", options={"xatol": 0.01})
    return math.exp(result.x)


def fit_levels(levels: Sequence[Tensor], truth: NDArray[np.int64]) -> tuple[float, ...]:
    """Fit one temperature per level to logits (N, K_l) and true cells (N, L), levels in the same order.

    A level of one cell gets temperature 1.
    """
    return tuple(
        fit_temperature(level, truth[:, number]) if level.shape[1] > 1 else NO_TEMPERATURE
        for number, level in enumerate(levels)
    )


def temperature_layers(head: Head) -> list[nn.Linear]:
    """Return the layers that compute a head's logits, coarse to fine."""
    if isinstance(head, VonMisesFisherHead):
        return [head.mixture_weights]
    assert isinstance(head, MultiPartitionHead)
    return [layer for layer in head.classifier if isinstance(layer, nn.Linear)]


@torch.no_grad()
def fold_temperatures(head: Head, temperatures: Sequence[float]) -> None:
    """Divide the weights of every level's layer by its temperature > 0, in place, so that its softmax is calibrated."""
    for layer, temperature in zip(temperature_layers(head), temperatures, strict=True):
        layer.weight.div_(temperature)
        layer.bias.div_(temperature)
