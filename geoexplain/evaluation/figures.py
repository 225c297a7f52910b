"""Answers about photos → the figures that papers print: accuracy at radii and median error, for groups of photos."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geoexplain.evaluation.accuracy import accuracy_by_km
from geoexplain.evaluation.coverage import Coverage, coverage_of
from geoexplain.evaluation.published import PublishedFigures
from geoexplain.evaluation.record import PhotoResult
from geoexplain.explainer.intervals import CONFIDENCE
from geoexplain.photos import Manifest

RADII_KM: tuple[float, ...] = (0.1, 1, 25, 200, 750, 2500)
"""An address, then street, city, region, country, continent."""

DENSITY_BINS = 10
BIN_RADII_KM: tuple[float, ...] = (25, 200, 750)

INTERVAL = {"confidence": CONFIDENCE, "method": "Student's t over images, widened for skewness"}
"""What the intervals of means over images are; see `mean_interval`."""

FEWEST_IMAGES = 10
"""Images below which a mean over them decides nothing: what differs between images may be far from normal."""

PLAIN, SEARCHED = "predicted point", "Search within Cell"
GROUPS = ("all", "localizable", "not localizable")


@dataclass(frozen=True)
class Figures:
    """Of a group of photos: how many, the share with an error below each radius, and the median error.

    Shares are in [0, 1]; they and the median are NaN for no photos.
    """

    photos: int
    accuracy_by_km: dict[float, float]
    median_error_km: float

    def as_dict(self) -> dict[str, Any]:
        """The figures as plain data for JSON; NaN is None."""
        return {
            "photos": self.photos,
            "accuracy_by_km": {f"{radius:g}": or_none(share) for radius, share in self.accuracy_by_km.items()},
            "median_error_km": or_none(self.median_error_km),
        }


@dataclass(frozen=True)
class DensityBin:
    """The photos whose prediction density lies in [low, high), the last bin's bounds included, and their figures."""

    low: float
    high: float
    figures: Figures


def figures_of(error_km: Sequence[float], radii_km: tuple[float, ...] = RADII_KM) -> Figures:
    """Figures of errors in km; an error equal to a radius is not within it."""
    errors = np.array(error_km, dtype=np.float64)
    median = float(np.median(errors)) if len(errors) else math.nan
    return Figures(len(errors), accuracy_by_km(errors, radii_km), median)


def table_of(results: Iterable[PhotoResult]) -> dict[str, dict[str, Figures]]:
    """Figures by how the point was found (PLAIN, and SEARCHED if there was a search) and by group (GROUPS).

    Only photos of status "ok" count.
    """
    read = [result for result in results if result.status == "ok"]
    columns = {PLAIN: [result.error_km for result in read]}
    if any(result.swc_error_km is not None for result in read):
        columns[SEARCHED] = [result.swc_error_km for result in read]
    return {
        title: {
            group: figures_of(
                [error for error, result in zip(errors, read, strict=True) if error is not None and inside(result)]
            )
            for group, inside in zip(
                GROUPS, (lambda _: True, lambda r: r.localizable, lambda r: not r.localizable), strict=True
            )
        }
        for title, errors in columns.items()
    }


def photo_coverage(results: Iterable[PhotoResult]) -> Coverage:
    """How often the circles around the predicted points, without a search, hold the truth."""
    circles = [
        (result.error_km, result.half_radius_km, result.radius_90_km)
        for result in results
        if result.error_km is not None and result.half_radius_km is not None and result.radius_90_km is not None
    ]
    return coverage_of(*map(list, zip(*circles, strict=True))) if circles else coverage_of([], [], [])


def density_bins(results: Iterable[PhotoResult], bins: int = DENSITY_BINS) -> list[DensityBin]:
    """How the error falls as the prediction density rises, in `bins` equal bins of [0, 1].

    The error is that of Search within Cell where there was one.
    """
    errors: list[list[float]] = [[] for _ in range(bins)]
    for result in results:
        error = result.error_km if result.swc_error_km is None else result.swc_error_km
        if result.density is not None and error is not None:
            errors[min(int(result.density * bins), bins - 1)].append(error)
    return [DensityBin(b / bins, (b + 1) / bins, figures_of(e, BIN_RADII_KM)) for b, e in enumerate(errors)]


def summary_of(
    results: Sequence[PhotoResult],
    manifest: Manifest,
    settings: Mapping[str, Any],
    published: Sequence[PublishedFigures] = (),
) -> dict[str, Any]:
    """Counts, photos left out, figures of every group and by density, coverage of the circles, published figures.

    Shares are in [0, 1], a paper's accuracies in percent as printed; what there was nothing to count for is None.
    """
    unreadable = [result for result in results if result.status == "unreadable"]
    return {
        "settings": dict(settings),
        "counts": {
            "evaluated": sum(result.status == "ok" for result in results),
            "unreadable": len(unreadable),
            "missing": len(manifest.missing),
            "unknown": len(manifest.unknown),
        },
        "unreadable": [{"id": r.id, "file": r.file, "reason": r.reason} for r in unreadable],
        "missing": list(manifest.missing),
        "unknown": list(manifest.unknown),
        "figures": {
            title: {group: figures.as_dict() for group, figures in groups.items()}
            for title, groups in table_of(results).items()
        },
        "by_density": [{"from": one.low, "to": one.high, **one.figures.as_dict()} for one in density_bins(results)],
        "coverage": photo_coverage(results).as_dict(),
        "published": [
            {
                "set": one.set,
                "model": one.model,
                "source": one.source,
                "accuracy_percent": {f"{radius:g}": value for radius, value in one.accuracy_percent.items()},
            }
            for one in published
        ],
    }


def comparable(table: Mapping[str, Mapping[str, Figures]]) -> Figures:
    """The figures to hold against a paper's: of all photos, with Search within Cell where there was one."""
    return list(table.values())[-1]["all"]


def or_none(value: float) -> float | None:
    """A number for JSON, which knows neither NaN nor infinity."""
    return value if math.isfinite(value) else None
