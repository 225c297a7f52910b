"""Run long computations in a thread, report their progress, and cancel them when the browser has gone."""

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
"""Called with the number of steps done and the number of all steps."""

Cancelled = Callable[[], bool]
"""Returns whether the work has been cancelled."""

HEARTBEAT_S = 0.5
"""Longest time between two reports: Gradio notices that a visitor has cancelled or left only when it sends one."""

LONGEST_S = 15 * 60
"""Longest time that one computation may take: all visitors share one worker."""

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Step:
    """The progress of the work; (0, 0) while it waits for its turn."""

    done: int
    total: int


@dataclass(frozen=True, eq=False)
class Finished(Generic[Result]):
    """The result of the work."""

    result: Result


def reports(
    work: Callable[[Progress, Cancelled], Result], *, longest_s: float = LONGEST_S
) -> Generator[Step | Finished[Result], None, None]:
    """Run `work(progress, cancelled)` in a thread of its own; yield its steps, then what it returns.

    The last step is repeated if nothing new arrives for HEARTBEAT_S. `cancelled` becomes true when this iterator is
    closed, as Gradio does when a visitor cancels or leaves, and after `longest_s` seconds. Cancelled work keeps running
    until it next calls `cancelled`. Other work waits until then, so that repeated cancelling piles up no threads.
    Raises gr.Error with the message of a GeoExplainError, and passes on any other exception of the work.
    """
    incoming: queue.Queue[Step | Finished[Result] | Exception] = queue.Queue()
    over = threading.Event()

    def run() -> None:
        with _one_at_a_time:
            if over.is_set():
                return
            ends_s = time.monotonic() + longest_s
            try:
                result = work(
                    lambda done, total: incoming.put(Step(done, total)),
                    lambda: over.is_set() or time.monotonic() > ends_s,
                )
                incoming.put(Finished(result))
            except ExplanationCancelledError as error:
                late = DataError(f"this took more than {duration(longest_s)} and was ended: ask for less.")
                incoming.put(late if time.monotonic() > ends_s else error)
            except Exception as error:  # noqa: BLE001 - raised again in the thread that answers the browser
                incoming.put(error)

    threading.Thread(target=run, daemon=True).start()
    last: Step | Finished[Result] = Step(0, 0)
    try:
        while not isinstance(last, Finished):
            try:
                report = incoming.get(timeout=HEARTBEAT_S)
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
    """Yield the same reports as assets/studio/work.js reads them; `run` is the number that the browser chose."""
    with closing(reports(work)) as steps:
        for report in steps:
            if isinstance(report, Finished):
                yield {"run": run, "state": "done", **report.result}
            else:
                yield {
                    "run": run,
                    "state": "running",
                    "done": report.done,
                    "total": report.total,
                    "words": _count_text(report),
                }


def _count_text(step: Step) -> str:
    return f"{step.done:,} of {step.total:,}" if step.total else ""
