"""The best network of a run on photos → a calibrated model with its figures."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoexplain.cli.arguments import complain
from geoexplain.cli.batch import progress_bar
from geoexplain.cli.photo_validation import VALIDATION_RADII_KM, describe_accuracy
from geoexplain.errors import DataError
from geoexplain.evaluation.accuracy import accuracy_by_km
from geoexplain.geography.partitioning import Partitioning
from geoexplain.imagery.markings import load_markings
from geoexplain.locator.gate import write_gate
from geoexplain.locator.zoo import load_model
from geoexplain.training.other_pictures import OtherPictures
from geoexplain.training.photo_release import calibrate, fold, photo_gate, photo_model, write_photo_model
from geoexplain.training.photo_run import PhotoRun
from geoexplain.training.photo_set import PhotoSet
from geoexplain.training.photo_validation import PRODUCT, validation_errors
from geoexplain.training.release import write_card
from geoexplain.words import kilometres


def release(
    run: PhotoRun,
    photos: PhotoSet,
    partitioning: Partitioning,
    folder: Path,
    *,
    name: str,
    test: NDArray[np.int64],
    others: Sequence[Path],
    workers: int,
) -> Path:
    """Calibrate a run's best network on the validation photos, write it with its card, read it back; its weights file.

    A head over several levels answers with f or f*, whichever did better on the validation photos; the photos at
    `test` only say how well that does. A gate tells such photos from generated pictures and those in the files
    `others`; where there are too few photos for one, a sentence says so. Raises DataError when no validation photo can
    be read.
    """
    network, size_px = run.chosen(), run.settings.phases[-1].size_px
    with progress_bar(len(photos.validation), "photos", desc="calibrating") as bar:
        calibration = calibrate(
            network,
            photos,
            size_px,
            workers=workers,
            progress=lambda done, _total: bar.update(done - bar.n) and None,
        )

    def measured(rows: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        with progress_bar(len(rows), "photos", desc="measuring") as bar:
            return validation_errors(
                network,
                photos,
                partitioning.levels[0].centers_deg,
                size_px,
                rows=rows,
                workers=workers,
                progress=lambda done, _total: bar.update(done - bar.n) and None,
            )

    errors = measured(photos.validation)
    if not errors:
        raise DataError("expected validation photos that can be read, got none: look into skipped.csv.")
    found = {way: accuracy_by_km(km, VALIDATION_RADII_KM) for way, km in errors.items()}
    better = max(found, key=lambda way: (sum(found[way].values()), -float(np.median(errors[way]))))
    unseen = measured(test)
    temperatures = calibration.levels
    if better == PRODUCT:  # no answer changes, only how sure it is
        temperatures = tuple(t * calibration.product for t in temperatures)
        fold(network, (calibration.product,) * len(temperatures))
    model = photo_model(network, partitioning, name=name, size_px=size_px, product=better == PRODUCT, device="cpu")
    weights = write_photo_model(model, partitioning, folder)
    facts: dict[str, Any] = {
        "training": {
            **asdict(run.settings),
            "photos": len(photos.train),
            "photos_in_no_cell": photos.in_no_cell,
            "photos_seen": run.schedule.seen(run.step),
            "processes": run.processes.world,
        },
        "partitioning": {"name": partitioning.name, "kind": partitioning.kind, **partitioning.settings},
        "levels": [len(level) for level in partitioning.levels],
        "temperatures": temperatures,
        "answers": better,
        "validation": _record(errors),
        "test": _record(unseen),
    }
    # What is shipped is what the next command loads: fp16 weights, and cells rounded as in their tables.
    model = load_model(str(weights), "cpu")
    try:
        pictures = OtherPictures(others, load_markings())
        gate = photo_gate(model, photos, pictures, workers=workers)
    except DataError as error:
        complain(f"{name} gets no gate, which would tell when an image is of another kind. {error}")
    else:
        write_gate(gate, weights)
        facts["gate"] = dict(gate.figures)
    card = write_card(model, weights, facts)
    for what, rows, answered in (("validation", photos.validation, errors), ("test", test, unseen)):
        if answered:
            print(f"{name} on {len(rows):,} {what} photos, their centre squares:")
        for way, km in answered.items():
            shares = describe_accuracy(accuracy_by_km(km, VALIDATION_RADII_KM))
            print(f"  {way:<2}  {shares}, median {kilometres(float(np.median(km)))}")
    print(f"  temperatures {', '.join(f'{t:.3f}' for t in temperatures)}; answers with {better}")
    print(f"released {weights} and {card}")
    return weights


def _record(errors: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    return {
        way: {
            "photos": len(km),
            "accuracy_by_km": accuracy_by_km(km, VALIDATION_RADII_KM),
            "median_error_km": float(np.median(km)),
        }
        for way, km in errors.items()
    }
