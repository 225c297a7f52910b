"""Ctrl-C while training: half a step would not resume to the weights of a whole one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Pressed:
    """How often Ctrl-C was pressed in a block, and the handler that would have heard of it."""

    def __init__(self) -> None:
        self.count = 0
        self.before = signal.getsignal(signal.SIGINT)
        # Only the main thread hears of Ctrl-C, and a process that was told to ignore it goes on doing so.
        mine = threading.current_thread() is threading.main_thread()
        self.counts = mine and self.before is not signal.SIG_IGN

    def note(self, _number: int, _frame: object) -> None:
        """The handler that only counts."""
        self.count += 1

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Let Ctrl-C through for a part of the block; what was pressed before it, too."""
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
    """Count Ctrl-C in a block instead of being interrupted by it; in another thread than the main one nothing."""
    pressed = Pressed()
    if not pressed.counts:
        yield pressed
        return
    signal.signal(signal.SIGINT, pressed.note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, pressed.before or signal.default_int_handler)
