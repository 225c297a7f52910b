"""All that an evaluation of photos found, as plain data for JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from geoexplain.evaluation.figures import Figures, density_bins, photo_coverage, table_of
from geoexplain.evaluation.published import PublishedFigures
from geoexplain.evaluation.record import PhotoResult
from geoexplain.photos import Manifest


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
