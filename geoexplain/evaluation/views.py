"""How well a model of views from above does, on random views whose place is known."""

import math
from collections.abc import Callable
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
from geoexplain.imagery.earth import Imagery
from geoexplain.imagery.views import render, sample_view_points
from geoexplain.images import Preprocess
from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import predict

VIEW_RADII_KM = (200, 750, 2500)
"""Region, country, continent: what a view of a few hundred kilometres can be held to."""


@dataclass(frozen=True)
class ViewReport:
    """A model on N views of one set of whole-earth images.

    imagery                     names of the images
    views                       N
    accuracy_by_km              share of views whose predicted point lies within each radius of the truth, in [0, 1]
    cell_accuracy_by_km         the same for the centre of the top cell
    median_error_km             of the predicted point
    calibration_error           expected calibration error of the top cell's probability, in [0, 1]
    mean_confidence             mean probability of the top cell
    coverage                    how often the half-probability circle and that of 90 % hold the truth
    localizable                 share of views said to be localizable
    localizable_accuracy_by_km  accuracy among these; NaN when there are none
    """

    imagery: tuple[str, ...]
    views: int
    accuracy_by_km: dict[int, float]
    cell_accuracy_by_km: dict[int, float]
    median_error_km: float
    calibration_error: float
    mean_confidence: float
    coverage: Coverage
    localizable: float
    localizable_accuracy_by_km: dict[int, float]

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data for JSON; what is NaN, because no view was localizable, is None."""
        return {
            key: {radius: None if math.isnan(share) else share for radius, share in value.items()}
            if isinstance(value, dict)
            else value
            for key, value in asdict(self).items()
        }


def evaluate_views(
    model: GeoModel,
    imagery: Imagery,
    *,
    views: int = 2000,
    footprint_km: tuple[float, float] = (500.0, 2000.0),
    rotation_deg: float = 30.0,
    seed: int = 0,
    batch: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> ViewReport:
    """Ask a model for `views` random views of whole-earth imagery and compare its answers with the truth.

    Views are sampled as in training, footprints log-uniform in `footprint_km`, unaugmented, at the model's own
    resolution, the same ones for the same seed; `batch` at a time go through the network. `progress` hears
    (done, `views`). Raises DataError when `views` or `batch` is not positive, or the footprints are out of range.
    """
    logits, truth_deg = view_logits(
        model.logits,
        imagery,
        model.preprocess,
        views=views,
        footprint_km=footprint_km,
        rotation_deg=rotation_deg,
        seed=seed,
        batch=batch,
        progress=progress,
    )
    predictions = [predict(model, row) for row in logits]
    points = np.array([(p.lat_deg, p.lon_deg) for p in predictions])
    cells = np.array([p.cell for p in predictions])
    confidence = np.array([p.probabilities[p.cell] for p in predictions])
    localizable = np.array([p.localizable for p in predictions])
    error_km = great_circle_km(points, truth_deg)
    return ViewReport(
        imagery=imagery.names,
        views=views,
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
        localizable=float(localizable.mean()),
        localizable_accuracy_by_km=accuracy_by_km(error_km[localizable], VIEW_RADII_KM),
    )


def view_logits(
    network: Callable[[Tensor], Tensor],
    imagery: Imagery,
    preprocess: Preprocess,
    *,
    views: int,
    footprint_km: tuple[float, float],
    rotation_deg: float,
    seed: int,
    batch: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Tensor, NDArray[np.float64]]:
    """Logits (views, K) on the CPU, and true positions (views, 2) in degrees, of random unaugmented views.

    `network` takes normalised images (N, 3, S, S) to logits (N, K); the rest is as for `evaluate_views`.
    """
    if views < 1 or batch < 1:
        raise DataError(f"expected at least 1 view, and 1 view at a time, got {views} and {batch}.")
    # All points at once, so that the views of a seed do not depend on the batch.
    points = sample_view_points(
        views,
        len(imagery),
        torch.Generator().manual_seed(seed),
        footprint_km=footprint_km,
        rotation_deg=rotation_deg,
    )
    rows = []
    for start in range(0, views, batch):
        some = points[start : start + batch]
        x = preprocess.normalise(render(imagery, some, preprocess.size_px)[:, :3])
        with torch.inference_mode():
            rows.append(network(x.contiguous(memory_format=torch.channels_last)).float().cpu())
        if progress is not None:
            progress(min(start + batch, views), views)
    return torch.cat(rows), points.centers_deg.numpy()
