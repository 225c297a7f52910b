"""Many images, one after the other: progress, lines of output, and going on when one fails."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from geoexplain.cli.arguments import complain
from geoexplain.errors import GeoExplainError
from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import Prediction
from geoexplain.locator.retrieval import SearchWithinCell
from geoexplain.view.gate_words import MEANING, gate_sentence
from geoexplain.view.place_path import headline, place_path
from geoexplain.view.radius_words import reach_words, share_rows
from geoexplain.words import coordinates, counted, exact_km, exact_percent, kilometres, percent, printable_lines

LOG_EVERY_S = 60.0


@dataclass(frozen=True)
class Answer:
    """What is said of one image: a record for scripts, and lines for people."""

    record: dict[str, Any]
    text: str


def answer_each(images: Sequence[str], answer: Callable[[str, str], Answer], *, as_json: bool) -> int:
    """Print `answer(image, name)` for each image, in order; return the exit code: 0, or 1 when an image failed.

    `name` is one for files that belong to the image, see unique_names().
    With `as_json` one JSON object per line: the record, or the image and its error. Every error is also a sentence on
    standard error. A bar shows the progress of several images where standard error is a terminal.
    """
    failed = 0
    with progress_bar(len(images), "images", hidden=len(images) == 1) as bar:
        for image, name in zip(images, unique_names(images), strict=True):
            try:
                found = answer(image, name)
                record, text = found.record, found.text
            except (GeoExplainError, OSError) as error:
                failed += 1
                record, text = {"image": image, "error": _sentence(error)}, ""
                with tqdm.external_write_mode(file=sys.stderr):
                    complain(f"{image}: {_sentence(error).removeprefix(f'{Path(image).name}: ')}")
            line = json.dumps(record) if as_json else printable_lines(text)
            if line:
                tqdm.write(line, file=sys.stdout)
                sys.stdout.flush()  # whoever reads the lines need not wait for the last image
            bar.update()
    return 1 if failed else 0


def unique_names(images: Sequence[str]) -> list[str]:
    """A name for each image, from its file's, no two alike: photo, photo-2, … They differ by more than case."""
    names: list[str] = []
    taken: set[str] = set()
    for image in images:
        stem = Path(image).stem.strip(".") or "image"
        name, turn = stem, 1
        while name.casefold() in taken:
            turn += 1
            name = f"{stem}-{turn}"
        taken.add(name.casefold())
        names.append(name)
    return names


def progress_bar(total: int, unit: str, **options: Any) -> tqdm:
    """A bar on standard error with the time left; nothing where that is not a terminal, or if `hidden`."""
    hidden = options.pop("hidden", False)
    options = {"mininterval": 0.0, "miniters": 1, "leave": False, **options}  # every step shows, also the last
    return tqdm(total=total, unit=f" {unit}", file=sys.stderr, disable=True if hidden else None, **options)


def reporter(bar: Any, unit: str) -> Callable[[int, int], None]:
    """Moves a bar; a line a minute where it does not show. The images of an earlier run do not count for its speed."""
    logged = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal logged
        if not bar.n:
            bar.initial = done
        bar.n = done
        bar.refresh()
        if bar.disable and time.monotonic() - logged >= LOG_EVERY_S:
            logged = time.monotonic()
            print(f"{done:,} of {total:,} {unit}", file=sys.stderr)

    return report


def move(bar: Any, done: int, _total: int) -> None:
    """Move a bar to `done`."""
    bar.update(done - bar.n)


def describe_doubt(image: str, model: GeoModel, prediction: Prediction) -> list[str]:
    """One line, or none: that an image is not of the kind that the model knows. It comes before any answer."""
    sentence = gate_sentence(model, prediction)
    return [f"{image}: {sentence} {MEANING}"] if sentence else []


def describe_prediction(
    image: str, model: GeoModel, prediction: Prediction, top: int = 5, *, search: SearchWithinCell | None = None
) -> str:
    """A prediction in words: the place, its coordinates, how sure the model is, what `search` found, the best cells."""
    labels, centers = model.partition.labels, model.partition.centers_deg
    within = ", ".join(f"{words} {percent(share)}" for words, share in share_rows(prediction))
    lines = [
        *describe_doubt(image, model, prediction),
        f"{image}: {headline(model.trees, labels, prediction)}",
        f"  point        {coordinates(prediction.lat_deg, prediction.lon_deg)} ({prediction.source})",
        f"  cell         {prediction.cell}: {labels[prediction.cell]}",
        f"  probability  {percent(prediction.probabilities[prediction.cell])}",
        f"  within       {within}",
        f"  reach        {reach_words(prediction)}",
        *describe_places(model, prediction),
        *describe_refinement(model, prediction, search),
    ]
    for rank, cell in enumerate(prediction.top(top), 1):
        share = percent(prediction.probabilities[cell])
        lines.append(f"  {rank}. {share:>8}  {labels[cell]} ({coordinates(*centers[cell])}, cell {cell})")
    return "\n".join(lines)


def describe_places(model: GeoModel, prediction: Prediction) -> list[str]:
    """A line for each tree of places: the most probable place of every level, coarse to fine, with its probability."""
    lines = []
    for tree in model.trees:
        path = place_path(tree, prediction)
        steps = " › ".join(f"{tree.labels[place]} {percent(path.shares[place])}" for place in path.places)
        parted = "" if path.elsewhere is None else f"; the best cell lies in {tree.labels[path.elsewhere]}"
        lines.append(f"  {tree.name:<11}  {steps or 'in no place'}{parted}")
    return lines


def describe_refinement(model: GeoModel, prediction: Prediction, search: SearchWithinCell | None) -> list[str]:
    """Lines on whether the image is localizable, by which rule, and on the photos that a search found."""
    rule, found = prediction.rule, prediction.neighbours
    reached = f"{percent(prediction.density)} in cells centred within {exact_km(rule.scale_km)} of the best one"
    verdict = f"{'yes' if prediction.localizable else 'no'}: {reached}, threshold {exact_percent(rule.threshold)}"
    if prediction.in_domain is False and model.gate is not None:
        verdict = f"no: it does not seem to be {model.gate.kind}"
    lines = [f"  localizable  {verdict}"]
    if search is None:
        return lines
    if found is None:
        lines.append(f"  search       cell {prediction.cell} holds no photo of the gallery")
    else:
        cluster = f"{found.chosen.sum()} of the {len(found.rows)} most alike (*) agree within {exact_km(search.eps_km)}"
        lines.append(
            f"  search       {counted(found.searched, 'photo')} in cell {found.cell}; {cluster}; "
            f"{kilometres(found.moved_km)} from the cell's centre"
        )
        rows = zip(found.rows, found.positions_deg, found.similarity, found.chosen, strict=True)
        lines += [
            f"  {'*' if chosen else ' '} {similarity:>9.4f}  photo {row} ({coordinates(*place)})"
            for row, place, similarity, chosen in rows
        ]
    return lines


def _sentence(error: GeoExplainError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'}: expected to write it, got '{error.strerror}'."
    return str(error)
