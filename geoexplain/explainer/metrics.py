"""Metrics of faithfulness: hide the pixels that a heatmap marks, or the others, and measure the probability."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.explainer.combine import Heatmap, scale_to_range
from geoexplain.explainer.imputation import noisy_linear_imputation
from geoexplain.explainer.subject import (
    FLAT_MAP,
    Measure,
    MeasuredSubject,
    check_heatmap,
    pixel_ranks,
    target_probabilities,
)

STEPS = 50
"""Default number of steps of deletion and insertion."""

ROAD_STEPS = 5
"""Default number of shares of pixels that ROAD removes, evenly between 0 and 1: 10, 30, 50, 70, 90 %."""

Redraw = Callable[[Tensor], Heatmap]
"""Draws the heatmap of another image (1, 3, H, W) for the same target and with the same method."""


def deletion(subject: MeasuredSubject, heatmap: Heatmap, steps: int = STEPS) -> Measure:
    """Compute the area under p as pixels become zero in normalised space, most important first. Lower is better.

    Petsiuk et al. 2018; trapezoidal rule over the share of pixels, 0 … 1 in `steps` steps. `steps` − 1 images go
    through the network: the first and the last point are known from the subject. No value for a flat heatmap. Raises
    DataError for a heatmap of another size or target, or steps below 1.
    """
    ends = subject.probability, subject.blank_probability
    blank = torch.zeros_like(subject.tensor)
    return _curve("deletion", subject, heatmap, steps, important=blank, rest=subject.tensor, ends=ends)


def insertion(subject: MeasuredSubject, heatmap: Heatmap, steps: int = STEPS) -> Measure:
    """Compute the area under p as the pixels of the blurred image become those of the image. Higher is better.

    Petsiuk et al. 2018; otherwise as `deletion`.
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
        raise DataError(f"expected at least 1 step, got {steps}: choose more.")
    name = f"{metric}@{steps}"
    check_heatmap(subject, heatmap)
    if heatmap.flat:
        return Measure(name, None, FLAT_MAP)
    pixels = heatmap.values.size
    counts = [step * pixels // steps for step in range(steps + 1)]  # exact numbers of changed pixels
    place = torch.from_numpy(pixel_ranks(heatmap.values)).to(subject.tensor.device)[None, None]  # (1, 1, H, W)
    important, rest = (x.contiguous(memory_format=torch.channels_last) for x in (important, rest))

    def images(start: int, stop: int) -> Tensor:
        limits = torch.tensor(counts[1 + start : 1 + stop], device=place.device).view(-1, 1, 1, 1)
        return torch.where(place < limits, important, rest)

    between = target_probabilities(subject, steps - 1, images)
    probabilities = np.array([ends[0], *between, ends[1]])
    shares = np.array(counts) / pixels
    return Measure(name, float(np.trapezoid(probabilities, shares)), None, shares, probabilities)


def road(subject: MeasuredSubject, heatmap: Heatmap, steps: int = ROAD_STEPS, seed: int = 0) -> tuple[Measure, Measure]:
    """Compute ROAD, mean p as pixels are removed: most relevant first (lower is better), and least relevant (higher).

    The removed shares are (1/2, 3/2, …) / `steps`. At each share, exactly that share of pixels, from the top or the
    bottom of one ranking, is imputed from the other pixels, with noise by `seed`. 2 `steps` images go through the
    network. Rong et al. 2022 plot accuracy over a data set; p is its counterpart for one image. No values for a flat
    heatmap. Raises DataError for a heatmap of another size or target, or steps below 1.
    """
    names = f"road-morf@{steps}", f"road-lerf@{steps}"
    curve = _road(subject, heatmap, steps, seed, both=True)
    if curve is None:
        return Measure(names[0], None, FLAT_MAP), Measure(names[1], None, FLAT_MAP)
    shares, probabilities = curve
    morf, lerf = probabilities[:steps], probabilities[steps:]
    return (
        Measure(names[0], float(morf.mean()), None, shares, morf),
        Measure(names[1], float(lerf.mean()), None, shares, lerf),
    )


def road_removal(subject: MeasuredSubject, heatmap: Heatmap, steps: int = ROAD_STEPS, seed: int = 0) -> Measure:
    """Compute the first of the two measures of `road`, most relevant first, with `steps` images."""
    name = f"road-morf@{steps}"
    curve = _road(subject, heatmap, steps, seed, both=False)
    if curve is None:
        return Measure(name, None, FLAT_MAP)
    shares, probabilities = curve
    return Measure(name, float(probabilities.mean()), None, shares, probabilities)


def _road(
    subject: MeasuredSubject, heatmap: Heatmap, steps: int, seed: int, *, both: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return shares (steps,) and p (steps,) or, with `both`, p (2 steps,), least relevant last; None for a flat map."""
    if steps < 1:
        raise DataError(f"expected at least 1 step, got {steps}: choose more.")
    check_heatmap(subject, heatmap)
    if heatmap.flat:
        return None
    pixels = heatmap.values.size
    counts = [(2 * step + 1) * pixels // (2 * steps) for step in range(steps)]
    place = pixel_ranks(heatmap.values)
    removed = [place < count for count in counts]
    removed += [place >= pixels - count for count in counts] if both else []
    image = subject.tensor[0].cpu().numpy()

    def images(start: int, stop: int) -> Tensor:
        imputed = [
            noisy_linear_imputation(image, removed[i], np.random.default_rng((seed, i))) for i in range(start, stop)
        ]
        return torch.from_numpy(np.stack(imputed)).to(subject.tensor.device)

    return np.array(counts) / pixels, target_probabilities(subject, len(removed), images)


def drop_and_increase(subject: MeasuredSubject, heatmap: Heatmap) -> tuple[Measure, Measure]:
    """Compute average drop and increase of one image in percent: 100 max(0, p − p') / p, and 100 if p' > p, else 0.

    p' is the probability of the image times the heatmap scaled to [0, 1], in normalised space, where 0 is the mean
    colour. Means over many images are the metrics of Chattopadhay et al. 2018. A heatmap that is high everywhere has a
    small drop, so the drop alone is weak evidence. One image goes through the network. No values for a flat heatmap,
    or p = 0. Raises DataError for a heatmap of another size or target.
    """
    check_heatmap(subject, heatmap)
    return measures_of_drop(share_dropped(subject, heatmap))


def measures_of_drop(drop: float | str) -> tuple[Measure, Measure]:
    """Return average drop and average increase from the result of `share_dropped`."""
    if isinstance(drop, str):
        return Measure("average-drop", None, drop), Measure("average-increase", None, drop)
    return Measure("average-drop", 100 * max(0.0, drop)), Measure("average-increase", 100.0 if drop < 0 else 0.0)


def adcc(subject: MeasuredSubject, heatmap: Heatmap, redraw: Redraw) -> Measure:
    """Compute ADCC in [0, 1], higher is better: the harmonic mean of coherency, 1 − complexity and 1 − drop.

    Complexity is the mean of the heatmap scaled to [0, 1]. Coherency is (r + 1) / 2, where r is Pearson's correlation
    with the heatmap that `redraw` gives for the image masked by this heatmap. The drop is that of `drop_and_increase`,
    as a share. Poppi et al. 2021 (the authors' code omits one reciprocal). A heatmap that does not depend on the
    image, such as the centred Gaussian, is perfectly coherent. One image goes through the network, plus those of
    `redraw`. No value for flat heatmaps, or p = 0. Raises DataError for a heatmap of another size or target.
    """
    check_heatmap(subject, heatmap)
    return adcc_of_drop(subject, heatmap, redraw, share_dropped(subject, heatmap))


def adcc_of_drop(subject: MeasuredSubject, heatmap: Heatmap, redraw: Redraw, drop: float | str) -> Measure:
    """Compute ADCC from the result of `share_dropped`."""
    if isinstance(drop, str):
        return Measure("adcc", None, drop)
    masked = redraw(_masked(subject, heatmap))
    if masked.flat:
        return Measure("adcc", None, "the heatmap of the masked image is flat: there is no correlation with it")
    pearson = np.corrcoef(heatmap.values.ravel().astype(np.float64), masked.values.ravel().astype(np.float64))[0, 1]
    parts = (
        float(pearson + 1) / 2,
        1 - float(scale_to_range(heatmap.values).mean(dtype=np.float64)),
        1 - max(0.0, drop),
    )
    return Measure("adcc", 3 / sum(1 / part for part in parts) if min(parts) > 0 else 0.0)


def _masked(subject: MeasuredSubject, heatmap: Heatmap) -> Tensor:
    return subject.tensor * torch.from_numpy(scale_to_range(heatmap.values)).to(subject.tensor)


def share_dropped(subject: MeasuredSubject, heatmap: Heatmap) -> float | str:
    """Return (p − p') / p, negative for an increase; or the reason why there is no value."""
    if heatmap.flat:
        return FLAT_MAP
    if subject.probability == 0:
        return "the probability of the cell is 0: it cannot drop"
    (after,) = target_probabilities(subject, 1, lambda _start, _stop: _masked(subject, heatmap))
    return (subject.probability - float(after)) / subject.probability
