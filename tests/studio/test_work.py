"""Work in a thread: what is heard of it, what its failures become, and that it ends when nobody listens."""

import threading

import gradio as gr
import pytest

from geoexplain.errors import DataError
from geoexplain.studio.work import Cancelled, Finished, Progress, Step, reports


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
