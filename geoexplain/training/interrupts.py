"""Delay Ctrl-C until a training step is complete: resuming after half a step would give other weights."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Pressed:
    """The number of times that Ctrl-C was pressed in a block, and the signal handler that was set before."""

    def __init__(self) -> None:
        self.count = 0
        self.before = signal.getsignal(signal.SIGINT)
        # Only the main thread receives SIGINT. A process that ignores SIGINT continues to ignore it.
        mine = threading.current_thread() is threading.main_thread()
        self.counts = mine and self.before is not signal.SIG_IGN

    def note(self, _number: int, _frame: object) -> None:
        """Count one SIGINT: the signal handler inside the block."""
        self.count += 1

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Let Ctrl-C interrupt a part of the block, including a Ctrl-C that was counted before it."""
        if not self.counts:
            yield
            return
        signal.signal(signal.SIGINT, self.before or signal.default_int_handler)
        try:
            if self.count and callable(self.before):
                self.before(signal.SIGINT, None)
            yield
        finally:
            signal.signal(signal.SIGINT, self.note)


@contextmanager
def interrupts_noted() -> Iterator[Pressed]:
    """Count Ctrl-C in a block instead of being interrupted by it. Outside the main thread, do nothing."""
    pressed = Pressed()
    if not pressed.counts:
        yield pressed
        return
    signal.signal(signal.SIGINT, pressed.note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, pressed.before or signal.default_int_handler)
