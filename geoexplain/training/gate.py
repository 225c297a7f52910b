"""Fit a gate: channel statistics that distinguish a model's own kind of image from others."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.locator.backbone import Backbone
from geoexplain.locator.gate import Gate, channel_statistics

TURNED_AWAY = 0.04
"""Share of each set of the model's own images that the threshold rejects. It is below the documented 5 %, since the
share may be higher on images that the threshold was not set on."""

REGULARISATION = 0.03
"""Inverse strength C of the L2 penalty on standardised statistics; from 0.003 to 0.1 no figure changes by a point."""

AREA, OTHERS = "area under ROC", "others"
"""Names of the figures of a gate that are not shares: the area under the receiver operating characteristic, and the
number of other images that it was measured on."""

FEWEST = 50
"""Fewest images of any set for which a gate is fitted: half of each held-out set sets the threshold."""


def gate_stages(backbone: Backbone) -> tuple[int, ...]:
    """Return the stages that a gate reads: the second and every other one after it except the last, counted from 1.

    The first stage detects only edges and colours. After the last stage, images of any kind look like some place.
    """
    return tuple(range(2, len(backbone.stages), 2))


def image_statistics(backbone: Backbone, batches: Iterable[Tensor], stages: Sequence[int]) -> NDArray[np.float64]:
    """Compute channel statistics (N, F) of normalised images in batches (n, 3, H, W) on any device."""
    rows: list[NDArray[np.float64]] = []
    device = next(chain(backbone.parameters(), backbone.buffers())).device  # a folded network has buffers only
    with torch.inference_mode():
        for batch in batches:
            _, outputs = backbone.forward_stages(batch.to(device), stages)
            rows.append(channel_statistics(outputs).double().cpu().numpy())
    return np.concatenate(rows) if rows else np.empty((0, 0))


def fit_gate(
    own: Mapping[str, NDArray[np.float64]],
    others: NDArray[np.float64],
    *,
    held_out: Mapping[str, NDArray[np.float64]],
    others_held_out: NDArray[np.float64],
    stages: Sequence[int],
    kind: str,
    fitted_on: str,
) -> Gate:
    """Fit a gate, set its threshold, and measure it on images that were used for neither.

    own               name of a set → channel statistics (N, F) of images of the model's kind, to fit the gate
    others            those of images of other kinds, to fit the gate
    held_out          name of a set → those of more images of the model's kind: one half of each set sets the
                      threshold, so that at most TURNED_AWAY of any set is rejected; the other half measures the gate
    others_held_out   those of more images of other kinds, to measure the gate

    Own and other images have the same total weight, and so has each set of `own`. Raises DataError for fewer than
    FEWEST images in any set.
    """
    fewest = min(len(part) for part in (*own.values(), others, *held_out.values(), others_held_out))
    if fewest < FEWEST:
        raise DataError(
            f"gate: expected at least {FEWEST} images to fit it on and as many to measure it on, of the model's kind "
            f"and of others, got {fewest}: give more."
        )
    positives = np.concatenate(list(own.values()))
    rows = np.concatenate([positives, others])
    weights = np.concatenate(
        [
            *(np.full(len(part), 1 / (len(own) * len(part))) for part in own.values()),
            np.full(len(others), 1 / len(others)),
        ]
    )
    truth = np.arange(len(rows)) < len(positives)
    mean, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    model = LogisticRegression(C=REGULARISATION, max_iter=5000)
    model.fit((rows - mean) / scale, truth, sample_weight=weights * len(rows) / weights.sum())
    slopes = model.coef_[0] / scale
    bias = float(model.intercept_[0] - slopes @ mean)

    def gate_scores(part: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 / (1 + np.exp(-np.clip(part @ slopes + bias, -700, 700)))

    setting = {name: gate_scores(part)[::2] for name, part in held_out.items()}
    measuring = {name: gate_scores(part)[1::2] for name, part in held_out.items()}
    threshold = min(float(np.quantile(scores, TURNED_AWAY)) for scores in setting.values())
    return Gate(
        stages=tuple(stages),
        weights=slopes.astype(np.float32),
        bias=bias,
        threshold=threshold,
        kind=kind,
        fitted_on=fitted_on,
        figures=gate_figures(measuring, gate_scores(others_held_out), threshold),
    )


def gate_figures(
    own: Mapping[str, NDArray[np.float64]], others: NDArray[np.float64], threshold: float
) -> dict[str, float]:
    """Compute the figures of a gate from its scores of images of the model's kind, by set, and of other images.

    The figures are the share of each set of `own` that is rejected, the share of `others` that is recognised as such,
    the area under the receiver operating characteristic, and the number of other images.
    """
    figures = {f"turned away: {name}": float((scores < threshold).mean()) for name, scores in own.items()}
    figures["others recognised"] = float((others < threshold).mean())
    scores = np.concatenate([*own.values(), others])
    truth = np.arange(len(scores)) < len(scores) - len(others)
    figures[AREA] = float(roc_auc_score(truth, scores))
    figures[OTHERS] = len(others)
    return {name: round(value, 4) for name, value in figures.items()}
