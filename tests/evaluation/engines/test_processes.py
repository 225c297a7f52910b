"""Processes that die, refuse, or are interrupted: nothing is lost but the image under way, and no process is left."""

import multiprocessing
import os
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from geoexplain.errors import DataError
from geoexplain.evaluation.engines import ATTEMPTS
from geoexplain.evaluation.engines.processes import START_ATTEMPTS, Processes, hold_interrupts
from tests.evaluation.openers import DEADLY, DEADLY_ONCE, broken, dying, naming, refusing, slow

TWO = Processes(2, "cpu")


def test_a_killed_worker_costs_its_image_one_attempt_and_the_others_nothing(tmp_path: Path) -> None:
    answers = list(TWO.answers(partial(dying, tmp_path, naming), range(9)))
    assert Counter(index for index, _ in answers) == Counter(range(9))
    texts = dict(answers)
    assert texts.pop(DEADLY) is None
    assert all(text.split()[0] == str(index) for index, text in texts.items())
    assert (tmp_path / f"seen-{DEADLY}").read_text().count("seen") == ATTEMPTS
    assert (tmp_path / f"seen-{DEADLY_ONCE}").read_text().count("seen") == 1
    # Every one of the dead was replaced, while there was something left to do.
    assert 1 + ATTEMPTS < len(list(tmp_path.glob("worker-*"))) <= 2 + 1 + ATTEMPTS
    assert multiprocessing.active_children() == []


def test_ctrl_c_leaves_no_process_and_workers_do_not_hear_it(tmp_path: Path) -> None:
    answers = TWO.answers(partial(slow, tmp_path), [0, 1, 2])
    assert next(answers) == (0, "")
    until = time.monotonic() + 60
    while len(list(tmp_path.glob("begun-*"))) < 3 and time.monotonic() < until:
        time.sleep(0.02)
    crew = multiprocessing.active_children()
    for worker in crew:
        os.kill(worker.pid, signal.SIGINT)
    assert not any(multiprocessing.connection.wait([worker.sentinel for worker in crew], timeout=0.2))
    with pytest.raises(KeyboardInterrupt):
        answers.throw(KeyboardInterrupt)
    assert len(crew) == 2
    assert multiprocessing.active_children() == []


def test_a_worker_that_refuses_ends_the_run_with_its_sentence() -> None:
    with pytest.raises(DataError, match=r"^this worker has another model\.$"):
        list(Processes(1, "cpu").answers(refusing, [0]))
    assert multiprocessing.active_children() == []


def test_workers_that_never_come_to_work_are_not_started_for_ever() -> None:
    with pytest.raises(DataError, match=f"got {START_ATTEMPTS} that ended before"):
        list(Processes(START_ATTEMPTS, "cpu").answers(broken, range(START_ATTEMPTS)))


def test_nothing_to_do_starts_nothing() -> None:
    assert list(TWO.answers(broken, [])) == []


def test_ctrl_c_waits_but_is_not_lost() -> None:
    done = []

    def interrupted() -> None:
        with hold_interrupts():
            signal.raise_signal(signal.SIGINT)
            done.append(True)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
