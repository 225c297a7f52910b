"""The folder of an evaluation: its settings, every answer as soon as it is computed, and a table of all answers."""

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

from geoexplain.errors import DataError
from geoexplain.words import counted

SETTINGS, ANSWERS, TABLE, SUMMARY = "settings.json", "answers.jsonl", "images.csv", "summary.json"

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class PhotoResult:
    """One row of the table: a photo, its true position, and the model's prediction; None for unknown values.

    id, file              name and file from the manifest; `file` is relative to the folder of images
    status                "ok", "unreadable" or "missing"
    lat_deg, lon_deg      true position
    predicted_…           the predicted point, without Search within Cell
    error_km              great-circle distance of the predicted point from the true position, R = 6371 km
    cell, label           the top cell and its label
    probability, density  probability of the top cell, and within the rule's scale around it, in [0, 1]
    in_domain             whether the gate recognizes the image as of the model's kind; None without a gate
    domain_score          the gate's score, in [0, 1]
    localizable           whether the density exceeds the rule's threshold, and the gate, if any, knows the image
    half_radius_km, …     radii around the predicted point that contain half, and 90 %, of the probability
    swc_…                 point and error with Search within Cell; the predicted point if the cell holds no photo
    reason                the reason why it could not be read
    """

    id: str
    file: str | None = None
    status: str = "missing"
    lat_deg: float | None = None
    lon_deg: float | None = None
    predicted_lat_deg: float | None = None
    predicted_lon_deg: float | None = None
    error_km: float | None = None
    cell: int | None = None
    label: str | None = None
    probability: float | None = None
    density: float | None = None
    in_domain: bool | None = None
    domain_score: float | None = None
    localizable: bool | None = None
    half_radius_km: float | None = None
    radius_90_km: float | None = None
    swc_lat_deg: float | None = None
    swc_lon_deg: float | None = None
    swc_error_km: float | None = None
    reason: str | None = None


COLUMNS = tuple(field.name for field in fields(PhotoResult))


@dataclass(frozen=True)
class Kind(Generic[Answer]):
    """How a type of answer is recorded.

    columns  header of the table
    rows     an answer's rows in the table
    plain    returns an answer as data for JSON
    read     returns an answer from that data; raises ValueError, TypeError or KeyError for other data
    missing  returns the answer for an image with this id but without a file
    retry    whether a resumed evaluation computes an answer again
    """

    columns: Sequence[str]
    rows: Callable[[Answer], Iterable[Sequence[Any]]]
    plain: Callable[[Answer], dict[str, Any]]
    read: Callable[[dict[str, Any]], Answer]
    missing: Callable[[str], Answer]
    retry: Callable[[Answer], bool] = lambda _: False


NO_FILE = "no file of that name"

PHOTOS = Kind[PhotoResult](
    columns=COLUMNS,
    rows=lambda result: [astuple(result)],
    plain=asdict,
    read=lambda data: PhotoResult(**data),
    missing=lambda name: PhotoResult(id=name, reason=NO_FILE),
)


@dataclass(frozen=True)
class Entry(Generic[Answer]):
    """An answer to be recorded, with its index in the source and the shape (H, W) of the network's input."""

    index: int
    shape: tuple[int, int] | None
    result: Answer


def read_settings(out: Path) -> dict[str, Any]:
    """Read the settings of the evaluation in a folder."""
    return dict(json.loads((out / SETTINGS).read_text(encoding="utf-8")))


def write_summary(out: Path, summary: dict[str, Any]) -> None:
    """Write the summary of an evaluation into its folder."""
    (out / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


class EvaluationFolder(Generic[Answer]):
    """The folder of one evaluation of `photos` images with answers of one `kind`; call `close` at the end.

    ANSWERS gets one line per batch, so a killed evaluation loses only the batch in progress. `resume` continues from
    there, or starts in an empty folder; without it, a folder that holds an evaluation is refused. TABLE is in the order
    of the manifest: a row is written when all rows before it are. Images without a file (`missing`) come last.

    Raises DataError if the folder holds an evaluation with other settings, is damaged, or `resume` is needed.
    """

    def __init__(
        self,
        out: Path,
        kind: Kind[Answer],
        settings: dict[str, Any],
        photos: int,
        *,
        missing: Sequence[str] = (),
        resume: bool = False,
    ):
        self.out, self._kind, self._photos, self._missing = out, kind, photos, missing
        self._results: dict[int, Answer] = {}
        self.shapes: dict[int, tuple[int, int] | None] = {}
        """Input shapes of the answered photos, by index; None for those that cannot be read."""
        self._tabled = 0
        out.mkdir(parents=True, exist_ok=True)
        self._check(settings, resume)
        known = self._read_answers()
        self._answers = (out / ANSWERS).open("a", encoding="utf-8", newline="\n")
        # A file's name may hold bytes that are not valid UTF-8.
        self._table = (out / TABLE).open("w", encoding="utf-8", errors="backslashreplace", newline="")
        self._writer = csv.writer(self._table, lineterminator="\n")
        self._writer.writerow(kind.columns)
        self._take(known)

    def close(self) -> None:
        """Close the files, which hold all answers so far."""
        self._answers.close()
        self._table.close()

    @property
    def done(self) -> int:
        """The number of answered photos."""
        return len(self._results)

    def add(self, batch: Sequence[Entry[Answer]]) -> None:
        """Save the answers of one batch: all of them, or none if the process is killed meanwhile."""
        line = json.dumps([[entry.index, entry.shape, self._kind.plain(entry.result)] for entry in batch])
        self._answers.write(line + "\n")
        self._answers.flush()
        self._take(batch)

    def finish(self) -> tuple[Answer, ...]:
        """Complete the table; return all answers in its order."""
        missing = tuple(self._kind.missing(name) for name in self._missing)
        self._write(missing)
        return (*(self._results[index] for index in range(self._photos)), *missing)

    def _take(self, batch: Sequence[Entry[Answer]]) -> None:
        for entry in batch:
            self._results[entry.index], self.shapes[entry.index] = entry.result, entry.shape
        ready = []
        while self._tabled in self._results:
            ready.append(self._results[self._tabled])
            self._tabled += 1
        self._write(ready)

    def _write(self, answers: Sequence[Answer]) -> None:
        self._writer.writerows(
            [_cell_text(value) for value in row] for answer in answers for row in self._kind.rows(answer)
        )
        self._table.flush()

    def _check(self, settings: dict[str, Any], resume: bool) -> None:
        file = self.out / SETTINGS
        text = json.dumps(settings, indent=2) + "\n"
        if not file.exists():
            # Answers without settings cannot be resumed.
            (self.out / ANSWERS).unlink(missing_ok=True)
            file.write_text(text, encoding="utf-8")
            return
        if not resume:
            raise DataError(
                f"{self.out}: expected a folder without an evaluation, found one: add --resume, or choose another "
                "--out."
            )
        try:
            before = dict(json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise DataError(
                f"{SETTINGS}: expected the settings of an evaluation, could not read them: choose another --out."
            ) from None
        current = json.loads(text)
        differing = [key for key in {**current, **before} if before.get(key) != current.get(key)]
        if differing:
            key = differing[0]
            raise DataError(
                f"{SETTINGS}: expected {key} {current.get(key)!r}, got {before.get(key)!r} when the evaluation was "
                "begun: repeat its settings, or choose another --out."
            )

    def _read_answers(self) -> list[Entry[Answer]]:
        file = self.out / ANSWERS
        if not file.exists():
            return []
        content = file.read_bytes()
        whole = content.rpartition(b"\n")[0] + b"\n" if b"\n" in content else b""
        if whole != content:  # a kill while writing; that batch is evaluated again
            file.write_bytes(whole)
        try:
            entries = [
                Entry(index, None if shape is None else (shape[0], shape[1]), self._kind.read(result))
                for line in whole.splitlines()
                for index, shape, result in json.loads(line)
            ]
            fits = {entry.index for entry in entries} <= set(range(self._photos))
        except (ValueError, TypeError, IndexError, KeyError):
            fits = False
        if not fits:
            raise DataError(
                f"{ANSWERS}: expected answers of this evaluation's {counted(self._photos, 'image')}, got a line that "
                "is none: choose another --out."
            )
        return [entry for entry in entries if not self._kind.retry(entry.result)]


def _cell_text(value: str | float | bool | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
