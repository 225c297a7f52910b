"""Concept influence of many images → concepts × bins of the error, for every method."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from geoexplain.evaluation.concepts import ImageConcepts, Study
from geoexplain.evaluation.figures import or_none
from geoexplain.explainer.concepts import SMALLEST_COUNT, ConceptTable, Estimate, concept_table
from geoexplain.explainer.intervals import CONFIDENCE

RESAMPLES = 2000

Bins = tuple[tuple[float, float], ...]


def tables_of(
    answers: Sequence[ImageConcepts], study: Study, bins_km: Bins, smallest_count: int = SMALLEST_COUNT
) -> dict[str, ConceptTable]:
    """The table of every method over the images that could be examined. Raises DataError as concept_table() does."""
    seen = [answer for answer in answers if answer.status == "ok" and answer.error_km is not None]
    return {
        method: concept_table(
            [(answer.error_km or 0.0, answer.concepts[method]) for answer in seen],
            bins_km=bins_km,
            smallest_count=smallest_count,
            resamples=RESAMPLES,
            confidence=CONFIDENCE,
        )
        for method in study.methods
    }


def summary_of(
    answers: Sequence[ImageConcepts],
    tables: Mapping[str, ConceptTable],
    bins_km: Bins,
    smallest_count: int,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Counts, the images left out by name, and the tables, as plain data for JSON; no figure is None."""
    left = {status: [one for one in answers if one.status == status] for status in ("unreadable", "failed", "missing")}
    seen = [one for one in answers if one.status == "ok"]
    first = next(iter(tables.values()))
    return {
        "settings": dict(settings),
        "counts": {"evaluated": len(seen)} | {status: len(ones) for status, ones in left.items()},
        **{key: [{"id": one.id, "file": one.file, "reason": one.reason} for one in ones] for key, ones in left.items()},
        "interval": {"confidence": CONFIDENCE, "resamples": RESAMPLES, "method": "percentile bootstrap over images"},
        "smallest_count": smallest_count,
        "bins_km": [list(one) for one in bins_km],
        "images_by_bin": list(first.images),
        "images_in_no_bin": first.outside,
        "methods": {
            method: {
                "flat": sum(bool(one.concepts[method]) and one.concepts[method][0].tki is None for one in seen),
                "tied": sum(one.tied[method] > 0 for one in seen),
                "concepts": {
                    concept: [
                        {
                            "low_km": row.low_km,
                            "high_km": row.high_km,
                            "images": row.images,
                            "median": plain(row.median),
                            "mean": plain(row.mean),
                        }
                        for row in rows
                    ]
                    for concept, rows in groupby(table.rows, key=lambda row: row.concept)
                },
            }
            for method, table in tables.items()
        },
    }


def plain(estimate: Estimate | None) -> dict[str, float | None] | None:
    """An estimate for JSON."""
    if estimate is None:
        return None
    return {"value": estimate.value, "low": or_none(estimate.low), "high": or_none(estimate.high)}
