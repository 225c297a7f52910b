"""Engines that compute the answers: several processes of this machine, or a Ray cluster.

An engine knows nothing of images. What travels is an index there and a line of text back.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Protocol

from geoexplain.errors import GeoExplainError

Opener = Callable[[int], Callable[[int], str]]
"""Called once in every worker, with its number from 0: makes what turns an index into an answer. It is pickled."""

ATTEMPTS = 2
"""How many workers an image may cost before it is left out."""

LONGEST_REASON = 200


class Engine(Protocol):
    """Workers that turn indices into answers.

    device   what they compute on: "cpu", "cuda", …
    answers  gives (index, answer) in any order, each index once; None for one that killed ATTEMPTS workers. Ends all
             workers when closed. Raises DataError when they cannot be started, or refuse to
    """

    @property
    def device(self) -> str: ...  # noqa: D102
    def answers(  # noqa: D102
        self, opener: Opener, indices: Sequence[int]
    ) -> Generator[tuple[int, str | None], None, None]: ...


def reason_of(error: Exception) -> str:
    """Why there is no answer, in one line."""
    if isinstance(error, GeoExplainError):
        return str(error)
    first = str(error).strip().partition("\n")[0][:LONGEST_REASON]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
