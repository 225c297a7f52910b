"""Work in a thread: what is heard of it, what its failures become, and that it ends when nobody listens."""

import threading
import time

import gradio as gr
import pytest

from geoexplain.errors import DataError
from geoexplain.explainer.cams import ExplanationCancelledError
from geoexplain.studio.work import Cancelled, Finished, Progress, Step, messages, reports


def test_the_browser_hears_the_number_that_it_chose() -> None:
    def work(progress: Progress, _cancelled: Cancelled) -> dict[str, int]:
        progress(3, 4)
        return {"found": 5}

    assert list(messages(42, work)) == [
        {"run": 42, "state": "running", "done": 3, "total": 4, "words": "3 of 4"},
        {"run": 42, "state": "done", "found": 5},
    ]


def test_silence_is_broken_so_that_who_left_is_let_go() -> None:
    goes_on, ended = threading.Event(), threading.Event()

    def work(progress: Progress, cancelled: Cancelled) -> None:
        progress(1, 2)
        goes_on.wait(30)
        assert cancelled()
        ended.set()

    listening = reports(work)
    assert [next(listening) for _ in range(3)] == [Step(1, 2)] * 3  # said once, and repeated
    listening.close()
    goes_on.set()
    assert ended.wait(30)


def test_what_was_called_off_is_waited_for_and_what_waited_in_vain_never_begins() -> None:
    begun, goes_on = [], threading.Event()

    def slow(_progress: Progress, _cancelled: Cancelled) -> None:
        begun.append("slow")
        goes_on.wait(30)

    def quick(_progress: Progress, _cancelled: Cancelled) -> str:
        begun.append("quick")
        return "done"

    def never(_progress: Progress, _cancelled: Cancelled) -> None:
        begun.append("never")

    first, second, third = reports(slow), reports(never), reports(quick)
    assert next(first) == Step(0, 0)
    first.close()
    assert next(second) == next(third) == Step(0, 0)  # both wait for the first, which has not asked yet
    second.close()
    goes_on.set()
    *_, last = third
    assert isinstance(last, Finished)
    assert begun == ["slow", "quick"]


def test_work_has_an_end() -> None:
    def endless(progress: Progress, cancelled: Cancelled) -> None:
        while not cancelled():
            progress(0, 1)
            time.sleep(0.001)
        raise ExplanationCancelledError("called off.")

    with pytest.raises(gr.Error, match="was ended: ask for less"):
        list(reports(endless, longest_s=0.05))


def test_steps_then_the_result() -> None:
    def work(progress: Progress, cancelled: Cancelled) -> str:
        progress(1, 2)
        progress(2, 2)
        return f"done, {cancelled()}"

    *steps, last = reports(work)
    assert steps == [Step(1, 2), Step(2, 2)]
    assert isinstance(last, Finished)
    assert last.result == "done, False"


def test_a_refusal_keeps_its_words_and_a_fault_its_kind() -> None:
    def refuses(_progress: Progress, _cancelled: Cancelled) -> None:
        raise DataError("expected something else.")

    def breaks(_progress: Progress, _cancelled: Cancelled) -> None:
        raise ZeroDivisionError

    with pytest.raises(gr.Error, match="expected something else") as refusal:
        list(reports(refuses))
    assert not refusal.value.print_exception
    with pytest.raises(ZeroDivisionError):
        list(reports(breaks))


def test_who_stops_listening_calls_it_off() -> None:
    ended = threading.Event()

    def work(progress: Progress, cancelled: Cancelled) -> None:
        progress(0, 1)
        while not cancelled():
            ended.wait(0.001)
        ended.set()

    listening = reports(work)
    assert next(listening) == Step(0, 1)
    assert not ended.is_set()
    listening.close()
    assert ended.wait(30)
