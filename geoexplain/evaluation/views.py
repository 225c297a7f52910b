"""Evaluate a model of views from above on views with known positions."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.evaluation.accuracy import accuracy_by_km, expected_calibration_error
from geoexplain.evaluation.coverage import Coverage, coverage_of
from geoexplain.geography.sphere import great_circle_km
from geoexplain.imagery.conditions import BLOCK, ViewSet
from geoexplain.images import Preprocess
from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import Prediction, predict

VIEW_RADII_KM = (200, 750, 2500)
"""Region, country, continent: suitable radii for views a few hundred kilometres wide."""

WRONG_KM = 750.0
"""Error above which a prediction should not have been localizable."""


@dataclass(frozen=True)
class ViewReport:
    """The figures of a model on N views.

    views                       N
    accuracy_by_km              share of views whose predicted point lies within each radius of the truth, in [0, 1]
    cell_accuracy_by_km         the same for the centre of the top cell
    median_error_km             of the predicted point
    calibration_error           expected calibration error of the top cell's probability, in [0, 1]
    mean_confidence             mean probability of the top cell
    coverage                    coverage of the circles of 50 % and 90 % probability
    in_domain                   share of views that pass the model's gate; None without a gate
    localizable                 share of localizable views
    localizable_accuracy_by_km  accuracy among these; NaN if there are none
    wrongly_localizable         share of localizable views among those with an error above WRONG_KM
    """

    views: int
    accuracy_by_km: dict[int, float]
    cell_accuracy_by_km: dict[int, float]
    median_error_km: float
    calibration_error: float
    mean_confidence: float
    coverage: Coverage
    in_domain: float | None
    localizable: float
    localizable_accuracy_by_km: dict[int, float]
    wrongly_localizable: float

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data for JSON; NaN becomes None."""
        return {
            key: {radius: _or_none(share) for radius, share in value.items()}
            if isinstance(value, dict)
            else _or_none(value)
            for key, value in asdict(self).items()
        }


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def evaluate_views(
    model: GeoModel, views: ViewSet, *, batch: int = BLOCK, progress: Callable[[int, int], None] | None = None
) -> ViewReport:
    """Evaluate a model on views.

    Views are rendered at the model's resolution, and pass through the network in batches of `batch`, a multiple of
    BLOCK. `progress` is called with (done, all). Raises DataError if `batch` is not such a multiple.
    """
    return report_of(model, predictions_of(model, views, batch=batch, progress=progress), views.truth_deg.numpy())


def predictions_of(
    model: GeoModel, views: ViewSet, *, batch: int = BLOCK, progress: Callable[[int, int], None] | None = None
) -> list[Prediction]:
    """Return the prediction for every view. Arguments and errors as for `evaluate_views`."""
    predictions: list[Prediction] = []
    for images in view_inputs(views, model.preprocess, batch=batch, progress=progress):
        seen = model.encode(images.to(model.device))
        with torch.inference_mode():
            logits = model.head(seen.features).float().cpu()
        statistics = [None] * len(logits) if seen.statistics is None else list(seen.statistics.cpu())
        predictions += [predict(model, row, statistics=one) for row, one in zip(logits, statistics, strict=True)]
    return predictions


def report_of(model: GeoModel, predictions: list[Prediction], truth_deg: NDArray[np.float64]) -> ViewReport:
    """Compute the figures of N predictions, given the true positions (N, 2) in degrees."""
    points = np.array([(p.lat_deg, p.lon_deg) for p in predictions])
    cells = np.array([p.cell for p in predictions])
    confidence = np.array([p.probabilities[p.cell] for p in predictions])
    localizable = np.array([p.localizable for p in predictions])
    passed = [p.in_domain for p in predictions if p.in_domain is not None]
    error_km = great_circle_km(points, truth_deg)
    wrong = error_km > WRONG_KM
    return ViewReport(
        views=len(predictions),
        accuracy_by_km=accuracy_by_km(error_km, VIEW_RADII_KM),
        cell_accuracy_by_km=accuracy_by_km(
            great_circle_km(model.partition.centers_deg[cells], truth_deg), VIEW_RADII_KM
        ),
        median_error_km=float(np.median(error_km)),
        calibration_error=expected_calibration_error(confidence, cells == model.partition.nearest_many(truth_deg)),
        mean_confidence=float(confidence.mean()),
        coverage=coverage_of(
            error_km.tolist(), [p.half_radius_km for p in predictions], [p.radius_90_km for p in predictions]
        ),
        in_domain=float(np.mean(passed)) if passed else None,
        localizable=float(localizable.mean()),
        localizable_accuracy_by_km=accuracy_by_km(error_km[localizable], VIEW_RADII_KM),
        wrongly_localizable=float(localizable[wrong].mean()) if wrong.any() else math.nan,
    )


def view_inputs(
    views: ViewSet, preprocess: Preprocess, *, batch: int = BLOCK, progress: Callable[[int, int], None] | None = None
) -> Iterator[Tensor]:
    """Yield views as normalised inputs (n, 3, S, S), `batch` at a time, on the device that renders them.

    Errors and `progress` as for `evaluate_views`.
    """
    if batch < BLOCK or batch % BLOCK:
        raise DataError(f"expected a batch that is a multiple of {BLOCK}, got {batch}: choose another.")
    for start in range(0, len(views), batch):
        stop = min(start + batch, len(views))
        x = preprocess.normalize(views.render(start, stop, preprocess.size_px))
        yield x.contiguous(memory_format=torch.channels_last)
        if progress is not None:
            progress(stop, len(views))


def view_logits(
    network: Callable[[Tensor], Tensor],
    views: ViewSet,
    preprocess: Preprocess,
    *,
    device: torch.device | str = "cpu",
    batch: int = BLOCK,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Compute the logits (N, K) of views, on the CPU.

    `network` maps normalised images on `device` to logits; other arguments are as for `evaluate_views`.
    """
    inputs = view_inputs(views, preprocess, batch=batch, progress=progress)
    with torch.inference_mode():
        return torch.cat([network(x.to(device)).float().cpu() for x in inputs])
