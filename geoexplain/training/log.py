"""The log of a run: tables of losses, validations and skipped images, and TensorBoard's files."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from geoexplain.errors import DataError
from geoexplain.training.run import Step
from geoexplain.training.source import Accuracy

LOSSES, VALIDATION, SKIPPED, TENSORBOARD = "losses.csv", "accuracy.csv", "skipped.csv", "tensorboard"


def table_columns(unit: str) -> dict[str, Sequence[str]]:
    """Return the columns of every table of a run on `unit`, "photos" or "views".

    The column `unit` counts the images of one step in the table of losses, and all images seen so far in that of
    validations.
    """
    return {
        LOSSES: ("step", unit, "loss", "learning_rate", "size_px"),
        VALIDATION: ("step", unit, "way", "within_km", "accuracy"),
        SKIPPED: ("step", unit.removesuffix("s"), "reason"),
    }


class Log:
    """The tables of one run, open for appending.

    Opening removes the rows of steps from `step` on, and those of validations after `validated` steps: a killed run
    wrote them after its last checkpoint, and writes them again. `skipped` is the number of different images that could
    not be read. Raises DataError if `tensorboard` is set and the package is not installed.
    """

    def __init__(self, run_dir: Path, unit: str, step: int, validated: int, *, tensorboard: bool = False):
        self._board: Any = None
        if tensorboard:
            self._board = summary_writer()(str(run_dir / TENSORBOARD), purge_step=step)
        self._files: dict[str, TextIO] = {}
        self._skipped: set[str] = set()
        for name, columns in table_columns(unit).items():
            rows = _rows_before(run_dir / name, validated if name == VALIDATION else step, len(columns))
            partial = (run_dir / name).with_suffix(".partial")
            with partial.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([columns, *rows])
            partial.replace(run_dir / name)
            self._files[name] = (run_dir / name).open("a", newline="", encoding="utf-8")
            if name == SKIPPED:
                self._skipped = {row[1] for row in rows}

    @property
    def skipped(self) -> int:
        """The number of different images that could not be read."""
        return len(self._skipped)

    def stepped(self, number: int, step: Step) -> None:
        """Log step `number`, counted from 0: its loss with all digits of fp32, and images skipped for the first time.

        The loss is the mean per image.
        """
        self._write(LOSSES, [(number, step.images, f"{step.loss:.9g}", f"{step.rate:.6g}", step.size_px)])
        new = {key: reason for key, reason in step.failed if key not in self._skipped}
        self._write(SKIPPED, [(number, key, reason) for key, reason in new.items()])
        self._skipped |= new.keys()
        if self._board is not None:
            self._board.add_scalar("loss", step.loss, number)
            self._board.add_scalar("learning rate", step.rate, number)

    def validated(self, number: int, seen: int, accuracy: Accuracy) -> None:
        """Log a validation after `number` steps and `seen` images: way → radius in km → share in [0, 1]."""
        rows = [(way, km, share) for way, shares in accuracy.items() for km, share in shares.items()]
        self._write(VALIDATION, [(number - 1, seen, way, km, f"{share:.6f}") for way, km, share in rows])
        if self._board is not None:
            for way, km, share in rows:
                self._board.add_scalar(f"within {km} km/{way}", share, number)

    def flush(self) -> None:
        """Write all logged rows to disk. A checkpoint relies on them, so call this before saving it."""
        for file in self._files.values():
            file.flush()
        if self._board is not None:
            self._board.flush()

    def close(self) -> None:
        """Close the tables."""
        for file in self._files.values():
            file.close()
        if self._board is not None:
            self._board.close()

    def _write(self, name: str, rows: Iterable[Sequence[Any]]) -> None:
        csv.writer(self._files[name]).writerows(rows)


def _rows_before(file: Path, step: int, columns: int) -> list[list[str]]:
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8", errors="replace") as table:
        rows = [row for row in csv.reader(line.replace("\0", "") for line in table) if len(row) == columns]
    return [row for row in rows if row[0].isdecimal() and int(row[0]) < step]


def summary_writer() -> Any:
    """Return TensorBoard's class SummaryWriter. Raises DataError if the package is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an optional package
    except ImportError:
        raise DataError("--tensorboard: expected the package tensorboard: pip install tensorboard.") from None
    return SummaryWriter
