"""A trained network → a model to ship: calibrated, its cells named, with a card of its figures."""

import json
import math
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor

from geoexplain.geography.addresses.cell_names import name_cells, unnamed
from geoexplain.geography.cell_areas import cell_areas
from geoexplain.geography.partition import Partition
from geoexplain.geography.sphere import great_circle_km
from geoexplain.locator.backbone import preprocess_for
from geoexplain.locator.checkpoints.native import describe, save_geoexplain
from geoexplain.locator.heads import VonMisesFisherHead
from geoexplain.locator.model import GeoModel, LocalizableRule
from geoexplain.locator.prediction import neighbourhood_mean
from geoexplain.locator.spread import Scatter, spread_probability
from geoexplain.training.run import GeolocatorNetwork

NAME = "earth-views-lite0"
TITLE = "Earth from above (EfficientNet-Lite0)"
PURPOSE = "Views of Earth from above, north roughly up; for street photos load another model."
RULE = LocalizableRule(scale_km=750, threshold=0.5)
REFINE_KM = 500.0


SIGMA_VIEWS = 2000
"""As many tell σ to some 2 %."""

WIDEST_SIGMA_KM = 20_000.0
"""Half of the way around the Earth: no scatter is wider."""


def view_model(
    network: GeolocatorNetwork,
    *,
    size_px: int,
    temperature: float,
    sigma_km: float | None = None,
    device: str | torch.device | None = None,
) -> GeoModel:
    """A trained network as a GeoModel: logits divided by `temperature`, cells named after where they lie.

    `sigma_km` is how far the truth scatters around its points, as `fit_sigma` finds it; None: not measured.
    """
    centers = network.head.mvmf.mus.T.cpu().numpy().copy()
    fold_temperature(network.head, temperature)
    return GeoModel(
        network.backbone,
        network.head,
        name_cells(unnamed("earth-views", centers)),
        preprocess_for(network.backbone.architecture, size_px),
        name=NAME,
        title=TITLE,
        purpose=PURPOSE,
        rule=RULE,
        refine_km=REFINE_KM,
        sigma_km=sigma_km,
        device=device,
    )


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


def fold_temperature(head: VonMisesFisherHead, temperature: float) -> None:
    """Divide a head's logits by `temperature` > 0 for good, so that its softmax is the calibrated one."""
    with torch.no_grad():
        head.mixture_weights.weight.div_(temperature)
        head.mixture_weights.bias.div_(temperature)


def write_release(model: GeoModel, folder: Path) -> Path:
    """Write a model as `<name>.safetensors` (fp16), with its cells and places, to a folder; return the weights file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{model.name}.safetensors"
    save_geoexplain(model.network, describe(model), model.partition, file, trees=model.trees)
    return file


def write_card(model: GeoModel, weights: Path, facts: Mapping[str, Any]) -> Path:
    """Write the model card `<name>.card.json` beside the weights: what the model is, and `facts` of its making."""
    card = {
        **describe(model),
        "cells": len(model.partition),
        "parameters": sum(parameter.numel() for parameter in model.network.parameters()),
        "bytes": weights.stat().st_size,
        **facts,
        "libraries": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("torch", "timm", "numpy", "safetensors")},
        },
    }
    file = weights.with_suffix(".card.json")
    file.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return file
