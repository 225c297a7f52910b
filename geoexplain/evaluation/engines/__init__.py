"""Engines that compute answers: several processes on this machine, or a Ray cluster.

An engine does not handle images: a worker receives an index and returns a line of text.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Protocol

from geoexplain.errors import GeoExplainError

Opener = Callable[[int], Callable[[int], str]]
"""Called once in every worker with its number, from 0; returns the function from index to answer. It is pickled."""

ATTEMPTS = 2
"""The number of workers that may die on an image before it is left out."""

LONGEST_REASON = 200


class Engine(Protocol):
    """Workers that compute answers from indices.

    device   the device that they compute on: "cpu", "cuda", …
    answers  yields (index, answer) in any order, each index once; the answer is None if ATTEMPTS workers died on it.
             Ends all workers when closed. Raises DataError if workers cannot start, or refuse to
    """

    @property
    def device(self) -> str: ...  # noqa: D102
    def answers(  # noqa: D102
        self, opener: Opener, indices: Sequence[int]
    ) -> Generator[tuple[int, str | None], None, None]: ...


def reason_of(error: Exception) -> str:
    """Return the reason for a missing answer, in one line."""
    if isinstance(error, GeoExplainError):
        return str(error)
    first = str(error).strip().partition("\n")[0][:LONGEST_REASON]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
