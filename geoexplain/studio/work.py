"""Work that takes long: done in a thread, reported while it goes on, called off when nobody listens any more."""

import queue
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from geoexplain.errors import DataError
from geoexplain.explainer.cams import ExplanationCancelledError
from geoexplain.studio.asked import refusals
from geoexplain.words import duration

Result = TypeVar("Result")

Progress = Callable[[int, int], None]
"""Hears (done, all) of whatever is counted."""

Cancelled = Callable[[], bool]
"""Says whether the work has been called off."""

HEARTBEAT_S = 0.5
"""How long nothing may be said: Gradio lets go of who has cancelled or left only when there is something to send."""

LONGEST_S = 15 * 60
"""How long one piece of work may take: there is one place for all visitors."""

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Step:
    """How far the work is; (0, 0) while it waits for its turn."""

    done: int
    total: int


@dataclass(frozen=True, eq=False)
class Finished(Generic[Result]):
    """What came out in the end."""

    result: Result


def reports(
    work: Callable[[Progress, Cancelled], Result], *, longest_s: float = LONGEST_S
) -> Generator[Step | Finished[Result], None, None]:
    """Run `work(progress, cancelled)` in a thread of its own, and give its steps and then what it returns.

    A step is given again when nothing new is heard for HEARTBEAT_S. Closing this iterator, as Gradio does when a
    visitor cancels or leaves, makes `cancelled` true, and so does the end of `longest_s` seconds. What was called off
    may still be on its way to the next time it asks: until then other work waits, so that calling off again and again
    piles nothing up. Raises gr.Error with the words of a GeoExplainError, and passes on whatever else the work raises.
    """
    heard: queue.Queue[Step | Finished[Result] | Exception] = queue.Queue()
    over = threading.Event()

    def run() -> None:
        with _one_at_a_time:
            if over.is_set():
                return
            ends_s = time.monotonic() + longest_s
            try:
                found = work(
                    lambda done, total: heard.put(Step(done, total)),
                    lambda: over.is_set() or time.monotonic() > ends_s,
                )
                heard.put(Finished(found))
            except ExplanationCancelledError as error:
                late = DataError(f"this took more than {duration(longest_s)} and was ended: ask for less.")
                heard.put(late if time.monotonic() > ends_s else error)
            except Exception as error:  # noqa: BLE001 - handed over to the thread that answers the browser
                heard.put(error)

    threading.Thread(target=run, daemon=True).start()
    last: Step | Finished[Result] = Step(0, 0)
    try:
        while not isinstance(last, Finished):
            try:
                report = heard.get(timeout=HEARTBEAT_S)
            except queue.Empty:
                report = last
            if isinstance(report, Exception):
                with refusals():
                    raise report
            last = report
            yield last
    finally:
        over.set()


def messages(run: int, work: Callable[[Progress, Cancelled], dict[str, Any]]) -> Generator[dict[str, Any], None, None]:
    """The same as assets/studio/work.js hears it: `run` is the browser's number, and the result's keys come last."""
    with closing(reports(work)) as heard:
        for report in heard:
            if isinstance(report, Finished):
                yield {"run": run, "state": "done", **report.result}
            else:
                yield {
                    "run": run,
                    "state": "running",
                    "done": report.done,
                    "total": report.total,
                    "words": _counted(report),
                }


def _counted(step: Step) -> str:
    return f"{step.done:,} of {step.total:,}" if step.total else ""
