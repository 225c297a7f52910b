"""Evaluate a model on photos with known positions: one network pass per batch, resumable."""

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.evaluation.batches import BATCHES_AHEAD, BATCHES_HELD, Sample, by_shape, network_input, read_ahead
from geoexplain.evaluation.fingerprint import manifest_fingerprint, model_fingerprint
from geoexplain.evaluation.record import PHOTOS, Entry, EvaluationFolder, PhotoResult
from geoexplain.geography.sphere import great_circle_km
from geoexplain.locator.model import GeoModel, LocalizableRule
from geoexplain.locator.prediction import CROP_RULES, crop_logits, predict
from geoexplain.locator.retrieval import SearchWithinCell
from geoexplain.photos import Manifest, Photo

FORMAT = "geoexplain-evaluation/2"

BATCH = 16
"""Network inputs per pass by default."""

DEGREE_DIGITS, KM_DIGITS, SHARE_DIGITS = 7, 6, 7
"""Decimals of degrees (1 cm on the ground), of km (1 mm), and of probabilities (the precision of float32)."""


@dataclass(frozen=True)
class PhotoQuestion:
    """How a model locates photos.

    crops   1: the whole photo; 5: its corners and its centre
    how     a rule of CROP_RULES that combines five crops
    rule    decides whether a photo is localizable
    search  Search within Cell, whose point is recorded as well; None: no search
    batch   network inputs per pass; five crops count as five inputs and share a pass

    Raises DataError for another number of crops, an unknown rule in `how`, or a batch below 1.
    """

    rule: LocalizableRule
    search: SearchWithinCell | None = None
    crops: int = 1
    how: str = "max"
    batch: int = BATCH

    def __post_init__(self) -> None:
        if self.crops not in {1, 5} or self.how not in CROP_RULES or self.batch < 1:
            raise DataError(
                f"expected 1 or 5 crops, put together by {' or '.join(CROP_RULES)}, and a batch of at least 1, "
                f"got {self.crops}, {self.how!r} and {self.batch}."
            )

    @property
    def photos_per_pass(self) -> int:
        """The number of photos per pass, at least 1."""
        return max(1, self.batch // self.crops)


def evaluate_photos(
    model: GeoModel,
    manifest: Manifest,
    images: Path,
    question: PhotoQuestion,
    out: Path,
    *,
    workers: int | None = None,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[PhotoResult, ...]:
    """Locate every photo of a manifest, whose files lie in `images`; return all answers in the manifest's order.

    Answers are saved in `out` batch by batch, see EvaluationFolder; `resume` keeps those that it already holds.
    `workers` threads decode (None: one per core). `progress` is called with (done, all photos), once before the first
    batch and once after each. A photo that cannot be read gets an answer with status "unreadable"; rows of the manifest
    without a file come last. Raises DataError as EvaluationFolder does, for a manifest without photos, and if the
    model's answers are not finite.
    """
    check_photos(manifest, images)
    rows = tuple(photo_row(photo, images) for photo in manifest.photos)
    settings = settings_of(model, rows, manifest, question)
    per_pass, total = question.photos_per_pass, len(rows)
    with closing(EvaluationFolder(out, PHOTOS, settings, total, missing=manifest.missing, resume=resume)) as folder:
        samples = read_ahead(
            [photo.file for photo in manifest.photos],
            model.preprocess,
            crops=question.crops,
            workers=workers or os.cpu_count() or 1,
            ahead=BATCHES_AHEAD * per_pass,
            known=dict(folder.shapes),
        )
        with closing(samples):
            if progress is not None:
                progress(folder.done, total)
            for batch in by_shape(samples, per_pass, BATCHES_HELD * per_pass):
                new = [sample for sample in batch if sample.index not in folder.shapes]
                if new:
                    folder.add(batch_results(model, new, [rows[sample.index] for sample in new], question))
                    if progress is not None:
                        progress(folder.done, total)
        return folder.finish()


def check_photos(manifest: Manifest, images: Path) -> None:
    """Raise DataError if no photo of the manifest has a file in `images`."""
    if not manifest.photos:
        raise DataError(
            f"expected photos of the manifest in {images}, found none (rows without a file: "
            f"{len(manifest.missing):,}): name the folder that holds them."
        )


def photo_row(photo: Photo, images: Path) -> PhotoResult:
    """Return the row of a photo without a prediction."""
    name = photo.file.relative_to(images).as_posix()
    return PhotoResult(photo.id, name, lat_deg=photo.lat_deg, lon_deg=photo.lon_deg)


def settings_of(
    model: GeoModel, rows: tuple[PhotoResult, ...], manifest: Manifest, question: PhotoQuestion
) -> dict[str, Any]:
    """Return everything that affects the answers, as plain data: evaluations with equal settings give equal files."""
    search = question.search
    return {
        "format": FORMAT,
        "model": model.name,
        "model_sha256": model_fingerprint(model),
        "photos": len(rows),
        "manifest_sha256": manifest_fingerprint(rows, manifest),
        "crops": question.crops,
        "crop_rule": question.how if question.crops > 1 else None,
        "batch": question.batch,
        "device": model.device.type,
        "scale_km": question.rule.scale_km,
        "threshold": question.rule.threshold,
        "gate": None if model.gate is None else model.gate.fingerprint(),
        "gallery": None if search is None else search.gallery.name,
        "gallery_rows": None if search is None else len(search.gallery),
        "top_k": None if search is None else search.top_k,
        "eps_km": None if search is None else search.eps_km,
    }


def batch_results(
    model: GeoModel, samples: Sequence[Sample], rows: Sequence[PhotoResult], question: PhotoQuestion
) -> list[Entry[PhotoResult]]:
    """Locate samples of one shape with one network pass; or record why they cannot be read."""
    pixels = [sample.pixels for sample in samples if sample.pixels is not None]
    if not pixels:
        return [
            Entry(sample.index, None, replace(photo, status="unreadable", reason=sample.reason))
            for sample, photo in zip(samples, rows, strict=True)
        ]
    seen = model.encode(network_input(pixels, model.preprocess, model.device))  # features (N · crops, D)
    crops = (len(samples), question.crops)
    of_photo = seen.features.unflatten(0, crops)  # (N, crops, D)
    statistics = [None] * len(samples) if seen.statistics is None else seen.statistics.unflatten(0, crops)
    logits = photo_logits(model, of_photo, question)
    return [
        Entry(sample.index, sample.shape, photo_result(model, photo, logits[i], (of_photo[i].mean(0), stats), question))
        for i, (sample, photo, stats) in enumerate(zip(samples, rows, statistics, strict=True))
    ]


def photo_logits(model: GeoModel, features: Tensor, question: PhotoQuestion) -> Sequence[Tensor] | Tensor:
    """Return the logits (K,) that `predict` takes for each of N photos, from features (N, crops, D)."""
    if question.crops > 1:
        return [crop_logits(model, crops, question.how) for crops in features]
    with torch.inference_mode():
        return model.head(features[:, 0]).cpu()


def photo_result(
    model: GeoModel, photo: PhotoResult, logits: Tensor, seen: tuple[Tensor, Tensor | None], question: PhotoQuestion
) -> PhotoResult:
    """Return a photo's row, from its logits (K,), features (D,) and channel statistics for the gate (crops, F)."""
    features, statistics = seen
    prediction = predict(model, logits, statistics=statistics, rule=question.rule)
    truth, point = (photo.lat_deg, photo.lon_deg), (prediction.lat_deg, prediction.lon_deg)
    answer = replace(
        photo,
        status="ok",
        predicted_lat_deg=round(point[0], DEGREE_DIGITS),
        predicted_lon_deg=round(point[1], DEGREE_DIGITS),
        error_km=error_km(point, truth),
        cell=prediction.cell,
        label=model.partition.labels[prediction.cell],
        probability=round(float(prediction.probabilities[prediction.cell]), SHARE_DIGITS),
        density=round(prediction.density, SHARE_DIGITS),
        in_domain=prediction.in_domain,
        domain_score=None if prediction.domain_score is None else round(prediction.domain_score, SHARE_DIGITS),
        localizable=prediction.localizable,
        half_radius_km=round(prediction.half_radius_km, KM_DIGITS),
        radius_90_km=round(prediction.radius_90_km, KM_DIGITS),
    )
    if question.search is None:
        return answer
    # Prediction and search use the same pass.
    neighbours = question.search(model, prediction.cell, features)
    if neighbours is not None:
        point = (neighbours.lat_deg, neighbours.lon_deg)
    return replace(
        answer,
        swc_lat_deg=round(point[0], DEGREE_DIGITS),
        swc_lon_deg=round(point[1], DEGREE_DIGITS),
        swc_error_km=error_km(point, truth),
    )


def error_km(point_deg: tuple[float, float], truth_deg: tuple[float | None, float | None]) -> float:
    """Return the great-circle distance in km, R = 6371 km, rounded to 1 mm."""
    return round(float(great_circle_km(point_deg, np.array(truth_deg, dtype=np.float64))), KM_DIGITS)
