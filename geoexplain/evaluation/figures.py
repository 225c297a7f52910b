"""Figures as in papers, accuracy at radii and median error, for groups of evaluated photos."""

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
"""Description of the intervals of means over images; see `mean_interval`."""

FEWEST_IMAGES = 10
"""Fewest images for a verdict on their mean: with fewer, the distribution may be too far from normal."""

PLAIN, SEARCHED = "predicted point", "Search within Cell"
GROUPS = ("all", "localizable", "not localizable")


@dataclass(frozen=True)
class Figures:
    """The figures of a group of photos: their number, the share with an error below each radius, and the median error.

    Shares are in [0, 1]. Shares and median are NaN for no photos.
    """

    photos: int
    accuracy_by_km: dict[float, float]
    median_error_km: float

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain data for JSON; NaN becomes None."""
        return {
            "photos": self.photos,
            "accuracy_by_km": {f"{radius:g}": or_none(share) for radius, share in self.accuracy_by_km.items()},
            "median_error_km": or_none(self.median_error_km),
        }


@dataclass(frozen=True)
class DensityBin:
    """The figures of photos with a prediction density in [low, high); the last bin includes its upper bound."""

    low: float
    high: float
    figures: Figures


def figures_of(error_km: Sequence[float], radii_km: tuple[float, ...] = RADII_KM) -> Figures:
    """Compute the figures of errors in km; an error equal to a radius is not within it."""
    errors = np.array(error_km, dtype=np.float64)
    median = float(np.median(errors)) if len(errors) else math.nan
    return Figures(len(errors), accuracy_by_km(errors, radii_km), median)


def table_of(results: Iterable[PhotoResult]) -> dict[str, dict[str, Figures]]:
    """Compute the figures by type of point (PLAIN, and SEARCHED if there was a search) and by group (GROUPS).

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
    """Compute the coverage of the circles around the predicted points, without Search within Cell."""
    circles = [
        (result.error_km, result.half_radius_km, result.radius_90_km)
        for result in results
        if result.error_km is not None and result.half_radius_km is not None and result.radius_90_km is not None
    ]
    return coverage_of(*map(list, zip(*circles, strict=True))) if circles else coverage_of([], [], [])


def density_bins(results: Iterable[PhotoResult], bins: int = DENSITY_BINS) -> list[DensityBin]:
    """Compute the figures by prediction density, in `bins` equal bins of [0, 1].

    Errors are those of Search within Cell if it was used.
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
    """Return counts, photos left out, figures by group and by density, coverage of the circles, and published figures.

    Shares are in [0, 1], accuracies of papers in percent as printed. Figures over no photos are None.
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
    """Return the figures to compare with a paper's: of all photos, with Search within Cell if it was used."""
    return list(table.values())[-1]["all"]


def or_none(value: float) -> float | None:
    """Return a number for JSON, None for NaN and infinity, which JSON lacks."""
    return value if math.isfinite(value) else None
