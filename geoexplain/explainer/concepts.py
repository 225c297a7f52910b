"""Concept influence: whether an explanation lies on a concept more than the size of its mask would explain.

Theiner et al., WACV 2022, sect. 3.2. The explanation can be the saliency of an attribution or a CAM's heatmap.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from geoexplain.errors import DataError
from geoexplain.explainer.cams import is_flat
from geoexplain.words import exact_percent, extremes, percent

TOP_K = 1000
SMALLEST_SHARE = 0.05
"""Settings of the paper: the 1000 strongest pixels; concepts that cover less than 5 % of the image are ignored."""

SMALLEST_COUNT = 50
ERROR_BINS_KM = ((0.0, 25.0), (25.0, 750.0), (750.0, 2500.0))
"""Settings of the paper's table: concepts in at least 50 images, in bins [low, high) of the prediction's error."""

LARGEST_DILATION_PX = 1000
FEWEST_FOR_BOOTSTRAP = 20
BOOTSTRAP_BLOCK = 2**20
"""Number of values that are drawn at a time: 8 MB."""


@dataclass(frozen=True)
class ConceptInfluence:
    """How much of one explanation lies on one concept.

    concept  name of the concept
    share    share of the image that its mask covers, 0 to 1, after dilation
    tki      top-k intersection: share of the k strongest pixels that lie in the mask; None if the map is flat
    ci       tki / share; above 1, more of the explanation lies on the concept than its size explains. None if tki is
             None or the mask is empty
    ignored  why the concept is ignored, in words; "" if it is not
    """

    concept: str
    share: float
    tki: float | None
    ci: float | None
    ignored: str


@dataclass(frozen=True, eq=False)
class Influence:
    """The concept influence of one explanation of one image.

    concepts  one per mask, in the order of the masks
    top       bool (H, W), the k strongest pixels
    tied      number of these that equal some pixels outside `top`: chosen by their index instead of their value
    flat      True if the map is constant up to rounding, so that every concept is ignored and `top` is meaningless
    """

    concepts: tuple[ConceptInfluence, ...]
    top: NDArray[np.bool_]
    tied: int
    flat: bool


def concept_influence(
    values: NDArray[np.floating],
    masks: Mapping[str, NDArray[np.bool_]],
    *,
    k: int = TOP_K,
    smallest_share: float = SMALLEST_SHARE,
    dilation_px: int = 0,
) -> Influence:
    """Compute the concept influence ci = tki / (|mask| / |image|) of an explanation for every concept.

    values          the explanation (H, W), finite and ≥ 0
    masks           concept → bool (H, W); they may overlap
    k               number of strongest pixels to use, 1 to H W
    smallest_share  a concept that covers a smaller share of the image, after dilation, is ignored; 0 to 1
    dilation_px     pixels that every mask is dilated by first, 0 to LARGEST_DILATION_PX; see dilate()

    Raises DataError for another shape or type of map or mask, or a setting outside its range.
    """
    strength = np.asarray(values)
    if strength.ndim != 2 or not strength.size or not np.issubdtype(strength.dtype, np.floating):
        raise DataError(
            f"expected an explanation (H, W) of floats, got {strength.dtype} of shape {strength.shape}: pass a "
            "saliency or a heatmap."
        )
    if not np.isfinite(strength).all() or strength.min() < 0:
        raise DataError(
            f"expected an explanation of finite values ≥ 0, got {extremes(strength.ravel())}: pass a saliency or "
            "a heatmap."
        )
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= strength.size:
        raise DataError(f"expected k from 1 to the image's {strength.size} pixels, got {k!r}: choose another.")
    if not 0 <= smallest_share <= 1:  # also false for NaN
        raise DataError(f"expected a smallest share from 0 to 1, got {smallest_share}: {SMALLEST_SHARE} is usual.")
    top = top_pixels(strength, k)
    weakest = strength[top].min()
    at_limit = strength == weakest
    chosen, there = int(np.count_nonzero(at_limit & top)), int(np.count_nonzero(at_limit))
    flat = is_flat(strength)
    concepts = []
    for concept, mask in masks.items():
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != strength.shape:
            raise DataError(
                f"concept {concept!r}: expected a mask of bool {strength.shape}, the explanation's shape, "
                f"got {getattr(mask, 'dtype', type(mask).__name__)} {np.shape(mask)}: convert the mask."
            )
        grown = dilate(mask, dilation_px)
        concepts.append(_influence(concept, grown, top, smallest_share, flat))
    return Influence(tuple(concepts), top, chosen if there > chosen else 0, flat)


def top_pixels(values: NDArray[np.floating], k: int) -> NDArray[np.bool_]:
    """Return exactly the k largest of `values` (H, W) as a mask, bool (H, W); of equal values those of lowest index."""
    # A threshold would select every pixel of a map that is zero almost everywhere, as maps after a ReLU are.
    order = np.argsort(-values.ravel(), kind="stable")
    top = np.zeros(values.size, dtype=np.bool_)
    top[order[:k]] = True
    return top.reshape(values.shape)


def dilate(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Dilate a mask (H, W) by a square of 2 `pixels` + 1: it grows by `pixels` in each of the eight directions.

    The code of Theiner et al. intends the same, but misses a diagonal neighbour and the border.
    Raises DataError for a number outside 0 to LARGEST_DILATION_PX.
    """
    if isinstance(pixels, bool) or not isinstance(pixels, int) or not 0 <= pixels <= LARGEST_DILATION_PX:
        raise DataError(f"expected a dilation from 0 to {LARGEST_DILATION_PX} px, got {pixels!r}: 0 leaves it out.")
    if pixels == 0:  # scipy takes 0 iterations as "until nothing changes"
        return mask
    return binary_dilation(mask, np.ones((3, 3), dtype=np.bool_), iterations=pixels)


def _influence(
    concept: str, mask: NDArray[np.bool_], top: NDArray[np.bool_], smallest_share: float, flat: bool
) -> ConceptInfluence:
    share = np.count_nonzero(mask) / mask.size
    tki = None if flat else np.count_nonzero(mask & top) / np.count_nonzero(top)
    if flat:
        ignored = "the explanation is flat"
    elif share == 0:
        ignored = "not in the image"
    elif share < smallest_share:
        ignored = f"covers {percent(share)} of the image, less than {exact_percent(smallest_share)}"
    else:
        ignored = ""
    return ConceptInfluence(concept, share, tki, tki / share if tki is not None and share else None, ignored)


@dataclass(frozen=True)
class Estimate:
    """A figure over images with its bootstrap interval, which is NaN if there are too few images."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ConceptRow:
    """One concept in one bin of the prediction's error.

    concept          name of the concept
    low_km, high_km  the bin: low ≤ error < high
    images           number of images of the bin in which the concept is not ignored
    median, mean     median and mean of its ci over these; None if they are too few
    """

    concept: str
    low_km: float
    high_km: float
    images: int
    median: Estimate | None
    mean: Estimate | None


@dataclass(frozen=True)
class ConceptTable:
    """Concept influence over a set of images.

    rows     every bin of every concept that is not ignored in all images: concepts by name, bins in order
    images   number of images in each bin, with any concepts
    outside  number of images whose error lies in no bin
    """

    rows: tuple[ConceptRow, ...]
    images: tuple[int, ...]
    outside: int


def concept_table(
    results: Iterable[tuple[float, Sequence[ConceptInfluence]]],
    *,
    bins_km: Sequence[tuple[float, float]] = ERROR_BINS_KM,
    smallest_count: int = SMALLEST_COUNT,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> ConceptTable:
    """Compute median and mean concept influence over images, by concept and by the error of the prediction.

    results         for each image, the error of its prediction in km and the influence of its concepts, in any order
    bins_km         bins (low, high) in km with 0 ≤ low < high that do not overlap; a bin holds low ≤ error < high
    smallest_count  smallest number of images of a bin, with the concept not ignored, for a figure; at least 1
    resamples       number of resamples of the percentile bootstrap over images; at least 1
    confidence      confidence of the intervals, between 0 and 1
    seed            seed of the bootstrap: the same images give the same table

    Raises DataError for an error that is not finite and ≥ 0, or a setting outside its range.
    """
    _check_bins(bins_km)
    if smallest_count < 1 or resamples < 1 or not 0 < confidence < 1:
        raise DataError(
            "expected a smallest count and resamples of at least 1 and a confidence between 0 and 1, "
            f"got {smallest_count}, {resamples} and {confidence}: {SMALLEST_COUNT}, 1000 and 0.95 are usual."
        )
    influences: dict[str, list[list[float]]] = {}
    images, outside = [0] * len(bins_km), 0
    for error_km, concepts in results:
        if not (math.isfinite(error_km) and error_km >= 0):
            raise DataError(
                f"expected errors in km that are finite and at least 0, got {error_km}: leave the image out."
            )
        index = next((i for i, (low, high) in enumerate(bins_km) if low <= error_km < high), None)
        if index is None:
            outside += 1
            continue
        images[index] += 1
        for one in concepts:
            if one.ci is not None and not one.ignored:
                influences.setdefault(one.concept, [[] for _ in bins_km])[index].append(one.ci)
    rows = []
    for concept in sorted(influences):
        for (low, high), values in zip(bins_km, influences[concept], strict=True):
            few = len(values) < smallest_count
            median, mean = (None, None) if few else bootstrap(values, resamples, confidence, seed)
            rows.append(ConceptRow(concept, low, high, len(values), median, mean))
    return ConceptTable(tuple(rows), tuple(images), outside)


def bootstrap(values: Sequence[float], resamples: int, confidence: float, seed: int) -> tuple[Estimate, Estimate]:
    """Compute median and mean of n ≥ 1 values, each with a percentile interval from resamples of n values.

    The order of the values does not matter. Fewer than FEWEST_FOR_BOOTSTRAP values get no interval, since it would be
    too narrow: that of one value would be a point. Efron 1979.
    """
    if len(values) < FEWEST_FOR_BOOTSTRAP:
        return (
            Estimate(float(np.median(values)), math.nan, math.nan),
            Estimate(float(np.mean(values)), math.nan, math.nan),
        )
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    generator = np.random.default_rng(seed)
    block = max(1, BOOTSTRAP_BLOCK // len(ordered))
    medians, means = [], []
    for start in range(0, resamples, block):
        drawn = ordered[generator.integers(len(ordered), size=(min(block, resamples - start), len(ordered)))]
        medians.append(np.median(drawn, axis=1))
        means.append(drawn.mean(axis=1))
    limits = ((1 - confidence) / 2, (1 + confidence) / 2)
    return (
        Estimate(float(np.median(ordered)), *map(float, np.quantile(np.concatenate(medians), limits))),
        Estimate(float(ordered.mean()), *map(float, np.quantile(np.concatenate(means), limits))),
    )


def _check_bins(bins_km: Sequence[tuple[float, float]]) -> None:
    ordered = sorted(bins_km)
    whole = all(0 <= low < high for low, high in ordered)  # also false for NaN
    if not ordered or not whole or any(one[1] > other[0] for one, other in pairwise(ordered)):
        raise DataError(
            f"expected bins (low, high) in km, 0 ≤ low < high, that do not overlap, got {tuple(bins_km)}: "
            f"{ERROR_BINS_KM} is usual."
        )
