"""Workers without a network: what they answer, and how they die, is written here."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from geoexplain.errors import DataError
from geoexplain.evaluation.engines import Opener

DEADLY, DEADLY_ONCE = 5, 3


def dying(folder: Path, opener: Opener, number: int) -> Callable[[int], str]:
    """Answers as another opener; dies of DEADLY, and of DEADLY_ONCE the first time. Leaves a file per process."""
    (folder / f"worker-{os.getpid()}").touch()
    inner = opener(number)

    def answer(index: int) -> str:
        seen = folder / f"seen-{index}"
        if index == DEADLY or (index == DEADLY_ONCE and not seen.exists()):
            with seen.open("a") as file:
                file.write("seen\n")
            os.kill(os.getpid(), signal.SIGKILL)
        return inner(index)

    return answer


def naming(number: int) -> Callable[[int], str]:
    """Answers "index by worker"."""
    return lambda index: f"{index} by {number}"


def slow(folder: Path, number: int) -> Callable[[int], str]:
    """Takes long over everything but the index 0, which is done when another worker is at work, too."""

    def answer(index: int) -> str:
        (folder / f"begun-{index}").touch()
        until = time.monotonic() + 600
        while time.monotonic() < until and (index or len(list(folder.glob("begun-*"))) < 2):
            time.sleep(0.02)
        return ""

    return answer


def refusing(number: int) -> Callable[[int], str]:
    raise DataError("this worker has another model.")


def broken(number: int) -> Callable[[int], str]:
    os._exit(1)
