"""A gallery: embeddings of photos whose places are known, by cell of a partition."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Gallery(Protocol):
    """N photos, each with the embedding a model gives it and where it was taken; threads may share one."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def model(self) -> str | None:
        """Name of the model whose embeddings it holds; None when the file does not say."""

    @property
    def dim(self) -> int:
        """Length of an embedding."""

    def __len__(self) -> int: ...

    def rows_of(self, cell: int) -> NDArray[np.int64]:
        """The rows in [0, N) that lie in a cell, int64 (n,); none for a cell that the gallery does not know."""

    def features(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The embeddings (n, dim) of some rows (n,). Raises DataError when they cannot be read or are not finite."""

    def positions_deg(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Latitude and longitude (n, 2) in degrees of some rows (n,)."""
