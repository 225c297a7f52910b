"""Published figures: accuracy of models in papers on known sets of photos, for comparison."""

import csv
from dataclasses import dataclass
from pathlib import Path

from geoexplain.errors import DataError
from geoexplain.resources import DATA

PUBLISHED = DATA / "published"
"""Folder with one table per known set of photos."""

COLUMNS = ("set", "model", "radius_km", "accuracy_percent", "source")


@dataclass(frozen=True)
class PublishedFigures:
    """The accuracy of a model on a set of photos in a paper (`source`): radius in km → percent."""

    set: str
    model: str
    source: str
    accuracy_percent: dict[float, float]


def published_sets() -> list[str]:
    """Return the names of the sets whose published figures come with geoexplain."""
    return sorted(file.stem for file in PUBLISHED.glob("*.csv"))


def published_figures(name_or_file: str) -> list[PublishedFigures]:
    """Read the published figures of a set, one per model, by its name in any case or from a CSV file with COLUMNS.

    Raises DataError if neither exists, or if a row is invalid.
    """
    known = published_sets()
    name = name_or_file.lower()
    file = PUBLISHED / f"{name}.csv" if name in known else Path(name_or_file)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        raise DataError(
            f"expected a set with published figures ({', '.join(known)}) or a readable CSV file of them, "
            f"got {name_or_file!r}."
        ) from None
    reader = csv.DictReader(text.splitlines())
    if not set(COLUMNS) <= set(reader.fieldnames or ()):
        raise DataError(f"{file.name}: expected the columns {', '.join(COLUMNS)}, got {reader.fieldnames}.")
    figures: dict[tuple[str, str, str], dict[float, float]] = {}
    for row in reader:
        accuracy = figures.setdefault((row["set"], row["model"], row["source"]), {})
        try:
            radius, percent = float(row["radius_km"]), float(row["accuracy_percent"])
        except (TypeError, ValueError):
            radius = percent = -1.0
        if not (radius > 0 and 0 <= percent <= 100) or radius in accuracy:
            raise DataError(
                f"{file.name}, line {reader.line_num}: expected a radius in km and an accuracy from 0 to 100 percent, "
                f"once for each radius, got {row['radius_km']!r} and {row['accuracy_percent']!r}."
            )
        accuracy[radius] = percent
    return [PublishedFigures(*key, accuracy) for key, accuracy in figures.items()]
