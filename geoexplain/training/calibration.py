"""Calibration: by what logits are divided so that shares are probabilities, and how far the truth scatters."""

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
"""As many tell σ to some 2 %."""

WIDEST_SIGMA_KM = 20_000.0
"""Half of the way around the Earth: no scatter is wider."""

NO_TEMPERATURE = 1.0


def fit_temperature(logits: Tensor, cells: NDArray[np.int64]) -> float:
    """Temperature T > 0 for which softmax(logits / T) gives the true cells the highest likelihood.

    logits (N, K), cells (N,). Guo et al. 2017, sect. 4.2. Searched on a logarithmic grid from 0.25 to 16, then refined
    around the best value to 0.1 %. It ends sooner below 1: a few photos that are all right would make a model certain.
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
    """σ in km of the truth around the mean of neighbouring cells for which circles hold it as often as they say.

    logits (N, K), divided by the temperature; truth_deg (N, 2) and centers_deg (K, 2) in degrees. The probability that
    lies nearer to the predicted point than the truth does is uniform in [0, 1] over the images of a calibrated model
    (probability integral transform: Gneiting, Balabdaoui, Raftery 2007). σ makes it as uniform as can be by the
    Cramér–von Mises distance, so that neither the half-probability circle nor that of 90 % is favoured. At most
    SIGMA_VIEWS rows are used. Searched from a twentieth of a cell's width, a point that knows its place in the cell,
    to twice the width, one that knows no more than its cells.
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
    found = minimize_scalar(distance, bounds=bounds, method="bounded", options={"xatol": 0.01})
    return math.exp(found.x)


def fit_levels(levels: Sequence[Tensor], truth: NDArray[np.int64]) -> tuple[float, ...]:
    """A temperature for the logits (N, K_l) of every level, true cells (N, L) in the same order.

    A level of one cell keeps its own.
    """
    return tuple(
        fit_temperature(level, truth[:, number]) if level.shape[1] > 1 else NO_TEMPERATURE
        for number, level in enumerate(levels)
    )


def temperature_layers(head: Head) -> list[nn.Linear]:
    """The layers that give a head's logits, coarse to fine."""
    if isinstance(head, VonMisesFisherHead):
        return [head.mixture_weights]
    assert isinstance(head, MultiPartitionHead)
    return [layer for layer in head.classifier if isinstance(layer, nn.Linear)]


@torch.no_grad()
def fold_temperatures(head: Head, temperatures: Sequence[float]) -> None:
    """Divide the logits of every level by its temperature > 0 for good, so that shares are the calibrated ones."""
    for layer, temperature in zip(temperature_layers(head), temperatures, strict=True):
        layer.weight.div_(temperature)
        layer.bias.div_(temperature)
