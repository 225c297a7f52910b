"""How far a mean can be trusted."""

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
CONFIDENCE = 0.95
VALUES_AT_A_TIME = 2**24
"""Values drawn at once, to bound the memory."""


def bootstrap_interval(
    values: NDArray[np.float64], *, resamples: int = RESAMPLES, confidence: float = CONFIDENCE, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean of values (N,), in [lowest, highest]; NaN for no values at all.

    Each resample draws N of them with replacement. Efron 1979; Efron and Tibshirani 1993, chapter 13. With few values
    it is too narrow, and with one it is that value.
    """
    if not len(values):
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    rows = max(1, VALUES_AT_A_TIME // len(values))
    means = np.concatenate(
        [
            values[rng.integers(len(values), size=(min(rows, resamples - start), len(values)))].mean(axis=1)
            for start in range(0, resamples, rows)
        ]
    )
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
