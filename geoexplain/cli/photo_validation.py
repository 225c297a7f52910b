"""Early results: how often a network in training is right on photos that it was not trained on."""

import sys
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from geoexplain.cli.batch import progress_bar
from geoexplain.evaluation.accuracy import accuracy_by_km
from geoexplain.geography.partitioning import Partitioning
from geoexplain.locator.model import Network
from geoexplain.training.photo_loop import Validate
from geoexplain.training.photo_run import Score
from geoexplain.training.photo_set import PhotoSet, evenly
from geoexplain.training.photo_validation import validation_errors
from geoexplain.words import exact_km, percent

VALIDATION_RADII_KM = (1, 25, 200, 750, 2500)
"""Street, city, region, country, continent (Weyand et al., ECCV 2016)."""


def validator(photos: PhotoSet, partitioning: Partitioning, most: int, workers: int) -> Validate:
    """Scores a network on at most `most` validation photos, evenly spaced, and prints what it finds.

    The score is the sum of the accuracies by the better way of answering, then the median error.
    """
    some = replace(photos, validation=evenly(photos.validation, most))
    centers_deg = partitioning.levels[0].centers_deg

    def validate(network: Network, size_px: int) -> tuple[dict[str, dict[int, float]], Score]:
        with progress_bar(len(some.validation), "photos", desc="validating", leave=False) as bar:
            errors = validation_errors(
                network,
                some,
                centers_deg,
                size_px,
                workers=workers,
                progress=lambda done, _total: bar.update(done - bar.n) and None,
            )
        if not errors:
            return {}, (0.0, 0.0)
        found = {way: accuracy_by_km(km, VALIDATION_RADII_KM) for way, km in errors.items()}
        with tqdm.external_write_mode(file=sys.stdout):
            for way, shares in found.items():
                print(f"validation at {size_px} px, {way:<2}: {describe_accuracy(shares)}", flush=True)
        return found, max((sum(found[way].values()), -float(np.median(errors[way]))) for way in found)

    return validate


def describe_accuracy(shares: Mapping[int, float]) -> str:
    """Accuracies in words: "45.0 % within 200 km, …"."""
    return ", ".join(f"{percent(share)} within {exact_km(radius)}" for radius, share in shares.items())
