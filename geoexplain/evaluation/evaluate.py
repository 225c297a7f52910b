"""Answer a question for every image of a set, in this process or by workers, saving answers as they come."""

import json
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from geoexplain.errors import DataError
from geoexplain.evaluation.engines import Engine, reason_of
from geoexplain.evaluation.fingerprint import model_fingerprint
from geoexplain.evaluation.pictures import Picture, Source
from geoexplain.evaluation.question import Answer, Findings, Question
from geoexplain.evaluation.recipes import Recipe
from geoexplain.evaluation.record import Entry, EvaluationFolder, read_settings, write_summary
from geoexplain.locator.model import GeoModel

KILLED = "the process that examined it was ended from outside, twice: out of memory?"


@dataclass(frozen=True, eq=False)
class Workers:
    """Workers that answer in place of this process: their engine, and their recipe for model and images."""

    engine: Engine
    recipe: Recipe


def evaluate(
    question: Question[Answer, Any],
    model: GeoModel,
    source: Source,
    out: Path,
    *,
    workers: Workers | None = None,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Answer, ...]:
    """Answer a question for every image of a source; return all answers in its order, those of missing images last.

    workers   compute the answers, in any order; `model` and `source` then only check that the workers have the same
    resume    continue the evaluation in `out`: its answers are not computed again
    progress  called with (done, all images), once before the first image and once after each

    Answers are saved in `out` image by image, see EvaluationFolder. An error with one image becomes the answer for that
    image. Raises DataError as EvaluationFolder does, if the question does not apply to the model, and if the workers
    cannot start or have another model or other images.
    """
    question.check(model)
    device = model.device.type if workers is None else workers.engine.device.partition(":")[0]
    settings = settings_of(question, model, source, device)
    kind = question.kind()
    with closing(EvaluationFolder(out, kind, settings, source.total, missing=source.missing, resume=resume)) as folder:
        if progress is not None:
            progress(folder.done, source.total)
        known = frozenset(folder.shapes)
        if workers is None:
            entries = answers_of_this_process(question, model, source, known)
        else:
            entries = answers_of_workers(workers, question, source, known, settings)
        with closing(entries):
            for entry in entries:
                folder.add([entry])
                if progress is not None:
                    progress(folder.done, source.total)
        return folder.finish()


def write_report(question: Question[Answer, Findings], answers: Sequence[Answer], title: str, out: Path) -> Findings:
    """Write the summary and the plot of an evaluation into its folder; return the findings over all images."""
    findings = question.findings(answers)
    write_summary(out, question.summary(answers, findings, read_settings(out)))
    question.plot(findings, title, out / question.PLOT)
    return findings


def settings_of(question: Question[Any, Any], model: GeoModel, source: Source, device: str) -> dict[str, Any]:
    """Return everything that affects the answers, as plain data: evaluations with equal settings give equal tables."""
    return {
        "format": question.FORMAT,
        "model": model.name,
        "model_sha256": model_fingerprint(model),
        "device": device,
        "source": source.settings,
        **question.settings(),
    }


def answers_of_this_process(
    question: Question[Answer, Any], model: GeoModel, source: Source, known: Collection[int]
) -> Generator[Entry[Answer], None, None]:
    """Yield the answers, computed in this process, in order."""
    with closing(source.pictures(known)) as pictures:
        for picture in pictures:
            yield entry_of(question, model, picture)


def answers_of_workers(
    workers: Workers, question: Question[Answer, Any], source: Source, known: Collection[int], settings: dict[str, Any]
) -> Generator[Entry[Answer], None, None]:
    """Yield the answers of workers, as they come."""
    kind = question.kind()
    remaining = [index for index in range(source.total) if index not in known]
    with closing(workers.engine.answers(Work(question, workers.recipe, settings).open, remaining)) as answers:
        for index, text in answers:
            if text is None:
                yield Entry(index, None, question.failed(source.about(index), KILLED, unreadable=False))
            else:
                shape, plain = json.loads(text)
                yield Entry(index, None if shape is None else (shape[0], shape[1]), kind.read(plain))


@dataclass(frozen=True)
class Work(Generic[Answer]):
    """The work of a worker: the question, the recipe for model and images, and the settings that must result."""

    question: Question[Answer, Any]
    recipe: Recipe
    settings: dict[str, Any]

    def open(self, number: int) -> Callable[[int], str]:
        """Open model and images as worker `number`; return a function from index to [shape, answer] as JSON.

        Raises DataError if they do not match the settings, and as `Recipe.open` does.
        """
        model, source = self.recipe.open(number)
        own = settings_of(self.question, model, source, model.device.type)
        for key, value in self.settings.items():
            if own[key] != value:
                raise DataError(
                    f"a worker: expected {key} {value!r}, got {own[key]!r}: give every machine the same files, under "
                    "the same paths."
                )
        kind = self.question.kind()

        def answer(index: int) -> str:
            try:
                picture = source.picture(index)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other images can do without this one
                picture, reason = source.about(index), reason_of(error)
                return json.dumps([None, kind.plain(self.question.failed(picture, reason, unreadable=False))])
            entry = entry_of(self.question, model, picture)
            return json.dumps([entry.shape, kind.plain(entry.result)])

        return answer


def entry_of(question: Question[Answer, Any], model: GeoModel, picture: Picture) -> Entry[Answer]:
    """Return one image's answer for the record; an error becomes an answer with status "failed"."""
    if picture.tensor is None:
        return Entry(picture.index, None, question.failed(picture, picture.reason or "", unreadable=True))
    shape = picture.tensor.shape[2], picture.tensor.shape[3]
    try:
        return Entry(picture.index, shape, question.answer(model, picture))
    except Exception as error:  # noqa: BLE001 - whatever it is, the other images can do without this one
        return Entry(picture.index, shape, question.failed(picture, reason_of(error), unreadable=False))
