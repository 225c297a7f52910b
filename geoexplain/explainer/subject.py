"""An image and a cell: what an explanation is drawn from, and what all measurements of heatmaps share."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.explainer.attribution import SAMPLES, STEPS
from geoexplain.explainer.cams import ExplanationCancelledError, images_per_pass
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.target import Explained, described, existing, target_score
from geoexplain.explainer.trace import Trace
from geoexplain.locator.model import GeoModel

BLUR_PX, BLUR_SIGMA = 11, 5.0
"""The Gaussian kernel that insertion starts from (Petsiuk et al. 2018)."""

MEMORY_BYTES = 512 * 2**20
"""How much memory one network pass may take, unless told otherwise: 16 images of 224 px. PyTorch runs the 1 × 1
convolutions of fewer than 16 images, on a single CPU thread, by a path that takes half as long again."""

FLAT_MAP = "the heatmap is flat: it puts no pixel before another"


Seed = int | Sequence[int]
"""What NumPy takes as a seed: one number ≥ 0, or several that together make one."""


@dataclass(frozen=True, eq=False)
class Subject:
    """What an explanation is drawn from: an image, what is explained of it, and how to report or cancel.

    model      the network
    tensor     the normalised image (1, 3, H, W)
    trace      its activations and gradients, by the score of what is explained
    seed       of what is drawn at random: a random map, the noise of SmoothGrad²
    steps, samples  of the attributions; see integrated_gradients() and smoothgrad_squared()
    progress   called as progress(done, total) by what runs the network many times over
    cancelled  asked again and again by the same; if it says True, ExplanationCancelledError is raised
    """

    model: GeoModel
    tensor: Tensor = field(repr=False)
    trace: Trace = field(repr=False)
    seed: Seed = 0
    steps: int = STEPS
    samples: int = SAMPLES
    progress: Callable[[int, int], None] | None = None
    cancelled: Callable[[], bool] | None = None

    @property
    def target(self) -> Explained:
        """The explained cell, or several as one."""
        return self.trace.explained


@dataclass(frozen=True, eq=False)
class MeasuredSubject:
    """An image and the cell whose heatmaps are measured, with what all measurements share.

    model                  the network
    tensor                 the normalised image (1, 3, H, W), on the model's device
    target                 the cell whose softmax probability p is watched, 0 … K − 1, or several as one
    blurred                the image after a Gaussian blur, (1, 3, H, W)
    probability            p of the image
    blank_probability      p of an image of zeros in normalised space, that is of mean colour
    blurred_probability    p of the blurred image
    memory_bytes           bound on the memory of one network pass; at least one image is run at a time
    progress               hears the number of images of every pass
    cancelled              asked before every pass; if it says True, ExplanationCancelledError is raised
    """

    model: GeoModel
    tensor: Tensor = field(repr=False)
    target: Explained
    blurred: Tensor = field(repr=False)
    probability: float
    blank_probability: float
    blurred_probability: float
    memory_bytes: int = MEMORY_BYTES
    progress: Callable[[int], None] | None = None
    cancelled: Callable[[], bool] | None = None

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        return self.tensor.shape[2], self.tensor.shape[3]


@dataclass(frozen=True, eq=False)
class Measure:
    """One figure of one heatmap.

    name           metric and number of steps, such as "deletion@50"
    value          None where there is nothing to say
    reason         why there is no value
    shares         float64 (N,): shares of the pixels removed or restored, for metrics that are made from a curve
    probabilities  float64 (N,): p at each of these shares
    """

    name: str
    value: float | None
    reason: str | None = None
    shares: NDArray[np.float64] | None = field(default=None, repr=False)
    probabilities: NDArray[np.float64] | None = field(default=None, repr=False)


def subject(
    model: GeoModel,
    tensor: Tensor,
    target: Explained,
    *,
    memory_bytes: int = MEMORY_BYTES,
    progress: Callable[[int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> MeasuredSubject:
    """Prepare an image (1, 3, H, W) and a cell, or several as one, for measuring heatmaps: three images in one pass.

    Raises DataError for another shape or cell, ExplanationCancelledError when called off.
    """
    if tensor.dim() != 4 or tensor.shape[:2] != (1, 3):
        raise DataError(f"expected one image as a tensor (1, 3, H, W), got {tuple(tensor.shape)}: pass images singly.")
    target = existing(target, len(model.partition))
    image = tensor.to(model.device)
    blurred = gaussian_blur(image)
    unknown = math.nan
    unmeasured = MeasuredSubject(
        model, image, target, blurred, unknown, unknown, unknown, memory_bytes, progress, cancelled
    )
    three = torch.cat([image, torch.zeros_like(image), blurred])
    whole, blank, soft = target_probabilities(unmeasured, 3, lambda start, stop: three[start:stop])
    return replace(
        unmeasured, probability=float(whole), blank_probability=float(blank), blurred_probability=float(soft)
    )


def gaussian_blur(image: Tensor) -> Tensor:
    """An image (1, 3, H, W) under a Gaussian of BLUR_PX pixels; the border continues its outermost pixels."""
    # Padding with zeros instead would draw a frame of mean colour around the image.
    steps = torch.arange(BLUR_PX, device=image.device) - BLUR_PX // 2
    kernel = torch.exp(-(steps**2) / (2 * BLUR_SIGMA**2))
    kernel = (kernel / kernel.sum()).to(image.dtype)
    padded = F.pad(image, (BLUR_PX // 2,) * 4, mode="replicate")
    rows = F.conv2d(padded, kernel.view(1, 1, -1, 1).expand(3, 1, -1, 1), groups=3)
    return F.conv2d(rows, kernel.view(1, 1, 1, -1).expand(3, 1, 1, -1), groups=3)


def target_probabilities(
    subject: MeasuredSubject, count: int, images: Callable[[int, int], Tensor]
) -> NDArray[np.float64]:
    """Probabilities (count,) of `images(start, stop)`, each (stop − start, 3, H, W): in chunks, no gradients."""
    chunk = images_per_pass(subject.tensor.device, subject.size_hw, subject.memory_bytes)
    found = []
    for start in range(0, count, chunk):
        if subject.cancelled is not None and subject.cancelled():
            raise ExplanationCancelledError("Measuring the explanation was cancelled: start it again.")
        stop = min(start + chunk, count)
        with torch.inference_mode():
            batch = images(start, stop).contiguous(memory_format=torch.channels_last)
            found.append(target_score(subject.model.logits(batch), subject.target, "probability").cpu())
        if subject.progress is not None:
            subject.progress(stop - start)
    return torch.cat(found).double().numpy() if found else np.zeros(0)


def positions(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """The place (H, W) of every pixel in descending order of a heatmap (H, W), from 0; of equal ones the first leads.

    A threshold would not do: above it may lie any number of pixels, and at the zeros of a ReLU lie most of them.
    """
    order = np.argsort(-values.ravel(), kind="stable")
    place = np.empty(order.size, dtype=np.int64)
    place[order] = np.arange(order.size)
    return place.reshape(values.shape)


def checked(subject: MeasuredSubject, heatmap: Heatmap) -> None:
    """Raise DataError for a heatmap of another size or cell than the subject's."""
    if heatmap.values.shape != subject.size_hw:
        raise DataError(
            f"expected a heatmap of {subject.size_hw} px, the size of the image, got {heatmap.values.shape}: "
            "measure it with the image that it explains."
        )
    if heatmap.target != subject.target:
        raise DataError(
            f"expected a heatmap of {described(subject.target)}, got one of {described(heatmap.target)}: "
            "explain the same cell."
        )
