"""Process images one after the other: progress, output, and continuing after an image that fails."""

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
    """The output for one image: a record for scripts, and text for people."""

    record: dict[str, Any]
    text: str


def answer_each(images: Sequence[str], answer: Callable[[str, str], Answer], *, as_json: bool) -> int:
    """Print `answer(image, name)` for each image, in order; return the exit code: 0, or 1 when an image failed.

    `name` is a name for the files of the image, see unique_names(). With `as_json`, print one JSON object per line: the
    record, or the image and its error. Every error is also printed as a sentence to standard error. A bar shows the
    progress of several images where standard error is a terminal.
    """
    failed = 0
    with progress_bar(len(images), "images", hidden=len(images) == 1) as bar:
        for image, name in zip(images, unique_names(images), strict=True):
            try:
                output = answer(image, name)
                record, text = output.record, output.text
            except (GeoExplainError, OSError) as error:
                failed += 1
                record, text = {"image": image, "error": _sentence(error)}, ""
                with tqdm.external_write_mode(file=sys.stderr):
                    complain(f"{image}: {_sentence(error).removeprefix(f'{Path(image).name}: ')}")
            line = json.dumps(record) if as_json else printable_lines(text)
            if line:
                tqdm.write(line, file=sys.stdout)
                sys.stdout.flush()  # a script that reads the lines gets each as soon as it is ready
            bar.update()
    return 1 if failed else 0


def unique_names(images: Sequence[str]) -> list[str]:
    """Return a unique name for each image, made of its file's: photo, photo-2, … They differ by more than case."""
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
    """Return a bar on standard error with the time left; it stays hidden without a terminal, or if `hidden`."""
    hidden = options.pop("hidden", False)
    options = {"mininterval": 0.0, "miniters": 1, "leave": False, **options}  # show every step, also the last
    return tqdm(total=total, unit=f" {unit}", file=sys.stderr, disable=True if hidden else None, **options)


def reporter(bar: Any, unit: str) -> Callable[[int, int], None]:
    """Return a callback that moves the bar, or prints a line per minute where the bar is hidden.

    Images done in an earlier run do not count towards the speed.
    """
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
    """Return one line if the image is not of the kind that the model knows, otherwise none.

    It is printed before any answer.
    """
    sentence = gate_sentence(model, prediction)
    return [f"{image}: {sentence} {MEANING}"] if sentence else []


def describe_prediction(
    image: str, model: GeoModel, prediction: Prediction, top: int = 5, *, search: SearchWithinCell | None = None
) -> str:
    """Describe a prediction: the place, its coordinates, the probabilities, the result of `search`, the top cells."""
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
    """Return a line per tree of places: the most probable place of every level, coarse to fine, with probabilities."""
    lines = []
    for tree in model.trees:
        path = place_path(tree, prediction)
        steps = " › ".join(f"{tree.labels[place]} {percent(path.shares[place])}" for place in path.places)
        parted = "" if path.elsewhere is None else f"; the best cell lies in {tree.labels[path.elsewhere]}"
        lines.append(f"  {tree.name:<11}  {steps or 'in no place'}{parted}")
    return lines


def describe_refinement(model: GeoModel, prediction: Prediction, search: SearchWithinCell | None) -> list[str]:
    """Return lines on whether the image is localizable, by which rule, and on the photos that the search found."""
    rule, neighbours = prediction.rule, prediction.neighbours
    reached = f"{percent(prediction.density)} in cells centred within {exact_km(rule.scale_km)} of the best one"
    verdict = f"{'yes' if prediction.localizable else 'no'}: {reached}, threshold {exact_percent(rule.threshold)}"
    if prediction.in_domain is False and model.gate is not None:
        verdict = f"no: it does not seem to be {model.gate.kind}"
    lines = [f"  localizable  {verdict}"]
    if search is None:
        return lines
    if neighbours is None:
        lines.append(f"  search       cell {prediction.cell} holds no photo of the gallery")
    else:
        chosen_count, similar_count = neighbours.chosen.sum(), len(neighbours.rows)
        cluster = f"{chosen_count} of the {similar_count} most alike (*) agree within {exact_km(search.eps_km)}"
        lines.append(
            f"  search       {counted(neighbours.searched, 'photo')} in cell {neighbours.cell}; {cluster}; "
            f"{kilometres(neighbours.moved_km)} from the cell's centre"
        )
        rows = zip(neighbours.rows, neighbours.positions_deg, neighbours.similarity, neighbours.chosen, strict=True)
        lines += [
            f"  {'*' if chosen else ' '} {similarity:>9.4f}  photo {row} ({coordinates(*place)})"
            for row, place, similarity, chosen in rows
        ]
    return lines


def _sentence(error: GeoExplainError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'}: expected to write it, got '{error.strerror}'."
    return str(error)
