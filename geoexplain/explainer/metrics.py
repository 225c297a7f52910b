"""Hide what a heatmap marks, or all else, and see what becomes of the probability: a function for every metric."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.explainer.combine import Heatmap, over_range
from geoexplain.explainer.imputation import noisy_linear_imputation
from geoexplain.explainer.subject import (
    FLAT_MAP,
    Measure,
    MeasuredSubject,
    checked,
    positions,
    target_probabilities,
)

STEPS = 50
"""Steps of deletion and insertion, unless told otherwise."""

ROAD_STEPS = 5
"""Shares of pixels that ROAD removes, evenly between 0 and 1, unless told otherwise: 10, 30, 50, 70, 90 %."""

Again = Callable[[Tensor], Heatmap]
"""Explains another image (1, 3, H, W), for the same cell and with the same method."""


def deletion(subject: MeasuredSubject, heatmap: Heatmap, steps: int = STEPS) -> Measure:
    """Area under p while pixels become zero in normalised space, the most important first. Lower is better.

    Petsiuk et al. 2018; trapezoids over the share of pixels, 0 … 1 in `steps` steps. `steps` − 1 images
    go through the network: the first and the last point are the subject's. No value for a flat heatmap. Raises
    DataError for a heatmap of another size or cell, or steps below 1.
    """
    ends = subject.probability, subject.blank_probability
    blank = torch.zeros_like(subject.tensor)
    return _curve("deletion", subject, heatmap, steps, important=blank, rest=subject.tensor, ends=ends)


def insertion(subject: MeasuredSubject, heatmap: Heatmap, steps: int = STEPS) -> Measure:
    """Area under p while the pixels of the blurred image become those of the image. Higher is better.

    Otherwise as `deletion`. Petsiuk et al. 2018.
    """
    ends = subject.blurred_probability, subject.probability
    return _curve("insertion", subject, heatmap, steps, important=subject.tensor, rest=subject.blurred, ends=ends)


def _curve(
    metric: str,
    subject: MeasuredSubject,
    heatmap: Heatmap,
    steps: int,
    *,
    important: Tensor,
    rest: Tensor,
    ends: tuple[float, float],
) -> Measure:
    if steps < 1:
        raise DataError(f"expected at least 1 step, got {steps}.")
    name = f"{metric}@{steps}"
    checked(subject, heatmap)
    if heatmap.flat:
        return Measure(name, None, FLAT_MAP)
    pixels = heatmap.values.size
    counts = [step * pixels // steps for step in range(steps + 1)]  # pixels that are changed, exactly
    place = torch.from_numpy(positions(heatmap.values)).to(subject.tensor.device)[None, None]  # (1, 1, H, W)
    important, rest = (x.contiguous(memory_format=torch.channels_last) for x in (important, rest))

    def images(start: int, stop: int) -> Tensor:
        limits = torch.tensor(counts[1 + start : 1 + stop], device=place.device).view(-1, 1, 1, 1)
        return torch.where(place < limits, important, rest)

    between = target_probabilities(subject, steps - 1, images)
    probabilities = np.array([ends[0], *between, ends[1]])
    shares = np.array(counts) / pixels
    return Measure(name, float(np.trapezoid(probabilities, shares)), None, shares, probabilities)


def road(subject: MeasuredSubject, heatmap: Heatmap, steps: int = ROAD_STEPS, seed: int = 0) -> tuple[Measure, Measure]:
    """ROAD: mean p while shares of the pixels are removed, most relevant first (lower is better) and least (higher).

    The shares are (1/2, 3/2, …) / `steps`; at each, exactly so many pixels from the top, or the bottom, of one ranking
    are imputed from those that stay, with the noise of `seed`. 2 `steps` images go through the network. Rong et al.
    2022; they plot accuracy over a data set, of which p is the counterpart for one image. No values for a flat
    heatmap. Raises DataError for a heatmap of another size or cell, or steps below 1.
    """
    names = f"road-morf@{steps}", f"road-lerf@{steps}"
    found = _road(subject, heatmap, steps, seed, both=True)
    if found is None:
        return Measure(names[0], None, FLAT_MAP), Measure(names[1], None, FLAT_MAP)
    shares, left = found
    morf, lerf = left[:steps], left[steps:]
    return (
        Measure(names[0], float(morf.mean()), None, shares, morf),
        Measure(names[1], float(lerf.mean()), None, shares, lerf),
    )


def road_removal(subject: MeasuredSubject, heatmap: Heatmap, steps: int = ROAD_STEPS, seed: int = 0) -> Measure:
    """The first of the two measures of `road`, most relevant first, in `steps` images."""
    name = f"road-morf@{steps}"
    found = _road(subject, heatmap, steps, seed, both=False)
    if found is None:
        return Measure(name, None, FLAT_MAP)
    shares, left = found
    return Measure(name, float(left.mean()), None, shares, left)


def _road(
    subject: MeasuredSubject, heatmap: Heatmap, steps: int, seed: int, *, both: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Shares (steps,) and p (steps,), with `both` followed by those of least relevant first; None for a flat map."""
    if steps < 1:
        raise DataError(f"expected at least 1 step, got {steps}.")
    checked(subject, heatmap)
    if heatmap.flat:
        return None
    pixels = heatmap.values.size
    counts = [(2 * step + 1) * pixels // (2 * steps) for step in range(steps)]
    place = positions(heatmap.values)
    removed = [place < count for count in counts]
    removed += [place >= pixels - count for count in counts] if both else []
    image = subject.tensor[0].cpu().numpy()

    def images(start: int, stop: int) -> Tensor:
        some = [
            noisy_linear_imputation(image, removed[i], np.random.default_rng((seed, i))) for i in range(start, stop)
        ]
        return torch.from_numpy(np.stack(some)).to(subject.tensor.device)

    return np.array(counts) / pixels, target_probabilities(subject, len(removed), images)


def drop_and_increase(subject: MeasuredSubject, heatmap: Heatmap) -> tuple[Measure, Measure]:
    """Average drop and average increase of one image, in percent: 100 max(0, p − p') / p, and 100 if p' > p, else 0.

    p' is the probability of the image times the heatmap scaled to [0, 1], in normalised space, where 0 is the mean
    colour. Over many images their means are the metrics of Chattopadhay et al. 2018. A heatmap that is
    high everywhere does well in the drop, so that it says little by itself. One image goes through the network.
    No values for a flat heatmap, or p = 0. Raises DataError for a heatmap of another size or cell.
    """
    checked(subject, heatmap)
    return measures_of_drop(share_dropped(subject, heatmap))


def measures_of_drop(drop: float | str) -> tuple[Measure, Measure]:
    """Average drop and average increase from what `share_dropped` says."""
    if isinstance(drop, str):
        return Measure("average-drop", None, drop), Measure("average-increase", None, drop)
    return Measure("average-drop", 100 * max(0.0, drop)), Measure("average-increase", 100.0 if drop < 0 else 0.0)


def adcc(subject: MeasuredSubject, heatmap: Heatmap, again: Again) -> Measure:
    """ADCC in [0, 1], higher is better: the harmonic mean of coherency, 1 − complexity and 1 − drop.

    Complexity is the mean of the heatmap scaled to [0, 1]; coherency (r + 1) / 2, r being Pearson's correlation with
    the heatmap `again` gives of the image that was masked by the first; the drop is that of `drop_and_increase`, as a
    share. Poppi et al. 2021 (the authors' code leaves out one reciprocal). A heatmap that does not depend on the image,
    such as the centred Gaussian, is perfectly coherent. One image goes through the network, besides `again`.
    No value for flat heatmaps, or p = 0. Raises DataError for a heatmap of another size or cell.
    """
    checked(subject, heatmap)
    return adcc_of_drop(subject, heatmap, again, share_dropped(subject, heatmap))


def adcc_of_drop(subject: MeasuredSubject, heatmap: Heatmap, again: Again, drop: float | str) -> Measure:
    """ADCC from what `share_dropped` says."""
    if isinstance(drop, str):
        return Measure("adcc", None, drop)
    masked = again(_masked(subject, heatmap))
    if masked.flat:
        return Measure("adcc", None, "the heatmap of the masked image is flat: there is no correlation with it")
    pearson = np.corrcoef(heatmap.values.ravel().astype(np.float64), masked.values.ravel().astype(np.float64))[0, 1]
    parts = (
        float(pearson + 1) / 2,
        1 - float(over_range(heatmap.values).mean(dtype=np.float64)),
        1 - max(0.0, drop),
    )
    return Measure("adcc", 3 / sum(1 / part for part in parts) if min(parts) > 0 else 0.0)


def _masked(subject: MeasuredSubject, heatmap: Heatmap) -> Tensor:
    return subject.tensor * torch.from_numpy(over_range(heatmap.values)).to(subject.tensor)


def share_dropped(subject: MeasuredSubject, heatmap: Heatmap) -> float | str:
    """(p − p') / p, negative for an increase; or why there is none."""
    if heatmap.flat:
        return FLAT_MAP
    if subject.probability == 0:
        return "the probability of the cell is 0: it cannot drop"
    (after,) = target_probabilities(subject, 1, lambda _start, _stop: _masked(subject, heatmap))
    return (subject.probability - float(after)) / subject.probability
