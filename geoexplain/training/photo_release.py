"""Release a model of photos: calibrate it on validation photos, measure it on validation and test photos."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.evaluation.accuracy import accuracy_by_km
from geoexplain.geography.partitioning import Partitioning
from geoexplain.locator.gate import Gate
from geoexplain.locator.model import GeoModel, Network
from geoexplain.training.calibration import (
    NO_TEMPERATURE,
    fit_levels,
    fit_temperature,
    fold_temperatures,
    temperature_layers,
)
from geoexplain.training.other_pictures import OtherPictures
from geoexplain.training.photo_batches import evaluation_batches
from geoexplain.training.photos import (
    PRODUCT,
    VALIDATION_RADII_KM,
    PhotoSet,
    answers,
    evenly,
    level_logits,
    validation_errors,
    way_score,
)
from geoexplain.training.release import Draft, build_model, check_name, gate_of
from geoexplain.training.run import Trained
from geoexplain.training.source import Working, step_of

PURPOSE = "Photos like those it was trained on."

GATE_PHOTOS = 2000
"""Most training photos, and most validation photos, that a gate is fitted and set with; evenly spaced."""


@dataclass(frozen=True)
class Calibration:
    """Temperatures, by which logits are divided so that their softmax is calibrated.

    levels   one temperature > 0 per level, coarse to fine
    product  a further one for all levels of a model that answers with f*: the product treats the levels as independent,
             although all see the same photo, and is therefore overconfident
    """

    levels: tuple[float, ...]
    product: float = NO_TEMPERATURE


def calibrate(
    network: Network,
    photos: PhotoSet,
    size_px: int,
    *,
    most: int = 4000,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Fit a temperature per level on validation photos and fold it into the head, in place; fit another for f*.

    At most `most` photos that lie in a cell are used, evenly spaced. A level of one cell gets temperature 1, and so do
    all levels without photos. Guo et al. 2017, sect. 4.2.
    """
    rows = evenly(photos.validation[photos.classes[photos.validation, -1] >= 0], most)
    batches: list[tuple[NDArray[np.int64], list[Tensor]]] = [
        (read, [level.cpu() for level in levels])
        for read, levels in level_logits(network, photos, rows, size_px, workers=workers, progress=progress)
    ]
    layers = temperature_layers(network.head)
    if not batches:
        return Calibration((NO_TEMPERATURE,) * len(layers))
    truth = photos.classes[np.concatenate([read for read, _ in batches])][:, -len(layers) :]
    logits = [torch.cat(level) for level in zip(*(levels for _, levels in batches), strict=True)]
    temperatures = fit_levels(logits, truth)
    fold_temperatures(network.head, temperatures)
    product = answers(network, [level / t for level, t in zip(logits, temperatures, strict=True)]).get(PRODUCT)
    return Calibration(temperatures, NO_TEMPERATURE if product is None else fit_temperature(product, truth[:, -1]))


@dataclass(frozen=True, eq=False)
class PhotoExamples:
    """The photos of a run that a release needs.

    name   the name of the model and its files
    test   int64 (T,), rows of photos that only measure the model
    title  the model's title in the interface

    Raises DataError for a name that files may not have.
    """

    photos: PhotoSet
    name: str
    test: NDArray[np.int64]
    title: str = ""
    workers: int = 0

    def __post_init__(self) -> None:
        check_name(self.name)

    @property
    def partitioning(self) -> Partitioning:
        """The cells of the run."""
        return self.photos.partitioning

    def draft(self, trained: Trained, size_px: int, *, progress: Working | None = None) -> Draft:
        """Return a model that answers with f or f*, whichever is better on validation photos, and the figures of both.

        Raises DataError if no validation photo can be read.
        """
        network, photos = trained.network, self.photos
        step = step_of(progress, "calibrating")
        calibration = calibrate(network, photos, size_px, workers=self.workers, progress=step)
        step = step_of(progress, "measuring")
        errors, unseen = (
            validation_errors(network, photos, size_px, rows=rows, workers=self.workers, progress=step)
            for rows in (photos.validation, self.test)
        )
        if not errors:
            raise DataError("expected validation photos that can be read, got none: look into skipped.csv.")
        better = max(errors, key=lambda way: way_score(accuracy_by_km(errors[way], VALIDATION_RADII_KM), errors[way]))
        temperatures = calibration.levels
        if better == PRODUCT:  # changes probabilities, not the top cell
            temperatures = tuple(t * calibration.product for t in temperatures)
            fold_temperatures(network.head, (calibration.product,) * len(temperatures))
        model = build_model(
            network,
            self.partitioning,
            size_px=size_px,
            product=better == PRODUCT,
            name=self.name,
            title=self.title,
            purpose=PURPOSE,
            device=next(network.parameters()).device,
        )
        cells = self.partitioning
        facts = {
            "partitioning": {"name": cells.name, "kind": cells.kind, **cells.settings},
            "levels": [len(level) for level in cells.levels],
            "temperatures": temperatures,
            "answers": better,
            "validation": _record(errors),
            "test": _record(unseen),
        }
        return Draft(model, facts, {"validation": errors, "test": unseen})

    def gate(self, model: GeoModel, others: OtherPictures, *, progress: Working | None = None) -> Gate:
        """Fit a gate on training photos, and set its threshold on validation photos.

        Raises DataError for too few photos.
        """

        def images(rows: NDArray[np.int64]) -> Iterator[Tensor]:
            preprocess = model.preprocess
            batches = evaluation_batches(
                self.photos.collection,
                evenly(rows, GATE_PHOTOS),
                size_px=preprocess.size_px,
                preprocess=preprocess,
                batch=64,
                workers=self.workers,
            )
            return (batch.images for batch in batches if len(batch.rows))

        return gate_of(
            model,
            {"training photos": images(self.photos.train)},
            {"validation photos": images(self.photos.validation)},
            others,
            kind="a photo like those that the model was trained on",
            fitted_on="the photos it was trained on",
            progress=progress,
        )

    def measure(
        self,
        model: GeoModel,  # noqa: ARG002 - both ways of answering were measured before one was chosen
        *,
        progress: Working | None = None,  # noqa: ARG002
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return nothing: `draft` has measured the model."""
        return {}, {}


def _record(errors: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    return {
        way: {
            "photos": len(km),
            "accuracy_by_km": accuracy_by_km(km, VALIDATION_RADII_KM),
            "median_error_km": float(np.median(km)),
        }
        for way, km in errors.items()
    }
