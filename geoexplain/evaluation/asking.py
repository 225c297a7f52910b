"""One question, asked of every image of a set: here or by workers, each answer saved as it comes, resumable."""

import json
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from geoexplain.errors import DataError
from geoexplain.evaluation.engines import Engine, reason_of
from geoexplain.evaluation.fingerprint import model_fingerprint
from geoexplain.evaluation.pictures import Picture, Source
from geoexplain.evaluation.recipes import Recipe
from geoexplain.evaluation.record import NO_FILE, Entry, EvaluationFolder, Kind
from geoexplain.locator.model import GeoModel

Answer = TypeVar("Answer")

KILLED = "the process that examined it was ended from outside, twice: out of memory?"


class Question(Protocol[Answer]):
    """What is asked of every image; frozen and of plain data, since it travels to workers.

    format    name and version of the files that are written
    settings  everything in it that decides the answers, as plain data
    kind      how answers are kept; those that `failed` gives are asked for again
    answer    of one image that can be read; does not depend on those before it
    failed    the answer about an image that has none: cannot be read (`unreadable`), or else broke the examination
    """

    @property
    def format(self) -> str: ...  # noqa: D102
    def settings(self) -> dict[str, Any]: ...  # noqa: D102
    def kind(self) -> Kind[Answer]: ...  # noqa: D102
    def answer(self, model: GeoModel, picture: Picture) -> Answer: ...  # noqa: D102
    def failed(self, picture: Picture, reason: str, *, unreadable: bool) -> Answer: ...  # noqa: D102


def kept(
    make: Callable[..., Answer],
    columns: Sequence[str],
    rows: Callable[[Answer], Iterable[Sequence[Any]]],
    read: Callable[[dict[str, Any]], Answer] | None = None,
) -> Kind[Answer]:
    """How answers that are dataclasses with an id, a status and a reason are kept; `make` is their class.

    columns, rows  of the table
    read           plain data as an answer again; None where the class takes the data as they are
    """
    return Kind(
        columns=columns,
        rows=rows,
        plain=asdict,  # type: ignore[arg-type]  # a type variable cannot say that it is a dataclass
        read=read or (lambda data: make(**data)),
        missing=lambda name: make(id=name, reason=NO_FILE),
        again=lambda answer: answer.status == "failed",  # type: ignore[attr-defined]
    )


def unanswered(make: Callable[..., Answer], picture: Picture, reason: str, *, unreadable: bool) -> Answer:
    """The answer about an image that has none, of a class as for `kept`."""
    status = "unreadable" if unreadable else "failed"
    return make(
        id=picture.id,
        file=picture.file,
        status=status,
        lat_deg=picture.lat_deg,
        lon_deg=picture.lon_deg,
        reason=reason,
    )


@dataclass(frozen=True, eq=False)
class Crew:
    """Workers that answer in place of this process: who starts them, and what each makes its model and images from."""

    engine: Engine
    recipe: Recipe


def ask(
    question: Question[Answer],
    model: GeoModel,
    source: Source,
    out: Path,
    *,
    crew: Crew | None = None,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Answer, ...]:
    """Ask of every image of a source; return all answers in its order, missing ones last.

    Answers are saved in `out` image by image, see EvaluationFolder; with `resume` those that it holds already are not
    computed again. `progress` hears (done, all images), once before the first image and once after each. What goes
    wrong with one image is the answer about that image. With a `crew` its workers answer, in any order, and `model`
    and `source` only say what the answers have to be about. Raises DataError as EvaluationFolder does, and when the
    workers cannot be started or have another model or other images.
    """
    device = model.device.type if crew is None else crew.engine.device.partition(":")[0]
    settings = settings_of(question, model, source, device)
    kind = question.kind()
    with closing(EvaluationFolder(out, kind, settings, source.total, missing=source.missing, resume=resume)) as folder:
        if progress is not None:
            progress(folder.done, source.total)
        known = frozenset(folder.shapes)
        if crew is None:
            entries = answered_here(question, model, source, known)
        else:
            entries = answered_by(crew, question, source, known, settings)
        with closing(entries):
            for entry in entries:
                folder.add([entry])
                if progress is not None:
                    progress(folder.done, source.total)
        return folder.finish()


def settings_of(question: Question[Any], model: GeoModel, source: Source, device: str) -> dict[str, Any]:
    """Everything that decides the answers, as plain data: two evaluations with equal settings give equal tables."""
    return {
        "format": question.format,
        "model": model.name,
        "model_sha256": model_fingerprint(model),
        "device": device,
        "source": source.settings,
        **question.settings(),
    }


def answered_here(
    question: Question[Answer], model: GeoModel, source: Source, known: Collection[int]
) -> Generator[Entry[Answer], None, None]:
    """The answers of this process, in order."""
    with closing(source.pictures(known)) as pictures:
        for picture in pictures:
            yield entry_of(question, model, picture)


def answered_by(
    crew: Crew, question: Question[Answer], source: Source, known: Collection[int], settings: dict[str, Any]
) -> Generator[Entry[Answer], None, None]:
    """The answers of a crew, as they come."""
    kind = question.kind()
    wanted = [index for index in range(source.total) if index not in known]
    with closing(crew.engine.answers(Work(question, crew.recipe, settings).open, wanted)) as answers:
        for index, text in answers:
            if text is None:
                yield Entry(index, None, question.failed(source.about(index), KILLED, unreadable=False))
            else:
                shape, plain = json.loads(text)
                yield Entry(index, None if shape is None else (shape[0], shape[1]), kind.read(plain))


@dataclass(frozen=True)
class Work(Generic[Answer]):
    """What a worker is given: the question, how to open model and images, and the settings they then have to have."""

    question: Question[Answer]
    recipe: Recipe
    settings: dict[str, Any]

    def open(self, number: int) -> Callable[[int], str]:
        """Open model and images as worker `number`; return what turns an image's index into [shape, answer] as JSON.

        Raises DataError when they are not those of the settings, and as `Recipe.open` does.
        """
        model, source = self.recipe.open(number)
        found = settings_of(self.question, model, source, model.device.type)
        for key, value in self.settings.items():
            if found[key] != value:
                raise DataError(
                    f"a worker: expected {key} {value!r}, got {found[key]!r}: give every machine the same files, under "
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


def entry_of(question: Question[Answer], model: GeoModel, picture: Picture) -> Entry[Answer]:
    """One image's answer on its way into the record, whatever goes wrong."""
    if picture.tensor is None:
        return Entry(picture.index, None, question.failed(picture, picture.reason or "", unreadable=True))
    shape = picture.tensor.shape[2], picture.tensor.shape[3]
    try:
        return Entry(picture.index, shape, question.answer(model, picture))
    except Exception as error:  # noqa: BLE001 - whatever it is, the other images can do without this one
        return Entry(picture.index, shape, question.failed(picture, reason_of(error), unreadable=False))
