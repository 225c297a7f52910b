"""Work that takes long: done in a thread, reported while it goes on, called off when nobody listens any more."""

import queue
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Generic, TypeVar

from geoexplain.studio.asked import refusals

Result = TypeVar("Result")

Progress = Callable[[int, int], None]
"""Hears (done, all) of whatever is counted."""

Cancelled = Callable[[], bool]
"""Says whether the work has been called off."""


@dataclass(frozen=True)
class Step:
    """How far the work is."""

    done: int
    total: int


@dataclass(frozen=True, eq=False)
class Finished(Generic[Result]):
    """What came out in the end."""

    result: Result


def reports(work: Callable[[Progress, Cancelled], Result]) -> Generator[Step | Finished[Result], None, None]:
    """Run `work(progress, cancelled)` in a thread of its own, and give its steps and then what it returns.

    Closing this iterator, as Gradio does when a visitor cancels or leaves, makes `cancelled` true. Raises gr.Error with
    the words of a GeoExplainError, and passes on whatever else the work raises.
    """
    heard: queue.Queue[Step | Finished[Result] | Exception] = queue.Queue()
    cancelled = threading.Event()

    def run() -> None:
        try:
            heard.put(Finished(work(lambda done, total: heard.put(Step(done, total)), cancelled.is_set)))
        except Exception as error:  # noqa: BLE001 - handed over to the thread that answers the browser
            heard.put(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        while True:
            report = heard.get()
            if isinstance(report, Exception):
                with refusals():
                    raise report
            yield report
            if isinstance(report, Finished):
                return
    finally:
        cancelled.set()
