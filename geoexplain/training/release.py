"""A trained network → a model to ship: calibrated, its cells named, with a card of its figures."""

import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoexplain.geography.addresses.cell_names import name_cells, unnamed
from geoexplain.images import Preprocess
from geoexplain.locator.checkpoints import describe, save_geoexplain
from geoexplain.locator.heads import VonMisesFisherHead
from geoexplain.locator.model import GeoModel, LocalizableRule
from geoexplain.training.run import GeolocatorNetwork

NAME = "earth-views-b0"
TITLE = "Earth from above (EfficientNet-B0)"
PURPOSE = "Views of Earth from above; for street photos load another model."
RULE = LocalizableRule(scale_km=750, threshold=0.5)
REFINE_KM = 500.0


def view_model(
    network: GeolocatorNetwork, *, size_px: int, temperature: float, device: str | torch.device | None = None
) -> GeoModel:
    """A trained network as a GeoModel: logits divided by `temperature`, cells named after the places they lie in."""
    centers = network.head.mvmf.mus.T.cpu().numpy().copy()
    fold_temperature(network.head, temperature)
    return GeoModel(
        network.backbone,
        network.head,
        name_cells(unnamed("earth-views", centers)),
        Preprocess(size_px=size_px),
        name=NAME,
        title=TITLE,
        purpose=PURPOSE,
        rule=RULE,
        refine_km=REFINE_KM,
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
