"""An image and its target: the input of an explanation, and what all measurements of its heatmaps share."""

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
from geoexplain.explainer.target import Explained, target_score, target_text, validate_target
from geoexplain.explainer.trace import Trace
from geoexplain.locator.model import GeoModel

BLUR_PX, BLUR_SIGMA = 11, 5.0
"""The Gaussian kernel that insertion starts from (Petsiuk et al. 2018)."""

MEMORY_BYTES = 512 * 2**20
"""Default bound on the memory of one network pass: 16 images of 224 px. With fewer than 16 images, PyTorch's 1 × 1
convolutions take 1.5 times as long on a single CPU thread."""

FLAT_MAP = "the heatmap is flat: it ranks no pixel above another"


Seed = int | Sequence[int]
"""A seed as NumPy accepts it: one number ≥ 0, or several that together make one seed."""


@dataclass(frozen=True, eq=False)
class Subject:
    """The input of an explanation: an image, its target, and callbacks to report progress or cancel.

    model      the network
    tensor     the normalised image (1, 3, H, W)
    trace      its activations, and the gradients of the target's score
    seed       seed of a random map, or of the noise of SmoothGrad²
    steps, samples  settings of the attributions; see integrated_gradients() and smoothgrad_squared()
    progress   called as progress(done, total) by explanations that run the network many times
    cancelled  called repeatedly by the same explanations; if it returns True, ExplanationCancelledError is raised
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
        """The explained cell or cells."""
        return self.trace.explained


@dataclass(frozen=True, eq=False)
class MeasuredSubject:
    """An image and a target whose heatmaps are measured, with what all measurements share.

    model                  the network
    tensor                 the normalised image (1, 3, H, W), on the model's device
    target                 the cell, 0 … K − 1, or cells whose softmax probability p the measurements use
    blurred                the image after a Gaussian blur, (1, 3, H, W)
    probability            p of the image
    blank_probability      p of an image of zeros in normalised space, that is of mean colour
    blurred_probability    p of the blurred image
    memory_bytes           bound on the memory of one network pass, which takes at least one image
    progress               called with the number of images of every pass
    cancelled              called before every pass; if it returns True, ExplanationCancelledError is raised
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
    """The value of one metric for one heatmap.

    name           metric and number of steps, such as "deletion@50"
    value          None if the metric is undefined
    reason         why there is no value; None if there is one
    shares         float64 (N,): shares of the pixels removed or restored, for metrics that integrate a curve
    probabilities  float64 (N,): p at each of these shares
    """

    name: str
    value: float | None
    reason: str | None = None
    shares: NDArray[np.float64] | None = field(default=None, repr=False)
    probabilities: NDArray[np.float64] | None = field(default=None, repr=False)


def prepare_subject(
    model: GeoModel,
    tensor: Tensor,
    target: Explained,
    *,
    memory_bytes: int = MEMORY_BYTES,
    progress: Callable[[int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> MeasuredSubject:
    """Prepare an image (1, 3, H, W) and a target for measuring heatmaps, with three images in one network pass.

    Raises DataError for another shape or target, ExplanationCancelledError when cancelled.
    """
    if tensor.dim() != 4 or tensor.shape[:2] != (1, 3):
        raise DataError(f"expected one image as a tensor (1, 3, H, W), got {tuple(tensor.shape)}: pass images singly.")
    target = validate_target(target, len(model.partition))
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
    """Blur an image (1, 3, H, W) with a Gaussian kernel of BLUR_PX pixels; the border repeats the outermost pixels."""
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
    """Compute the target's probability (count,) for images, in chunks and without gradients.

    `images(start, stop)` returns those of one chunk, (stop − start, 3, H, W).
    """
    chunk = images_per_pass(subject.tensor.device, subject.size_hw, subject.memory_bytes)
    probabilities = []
    for start in range(0, count, chunk):
        if subject.cancelled is not None and subject.cancelled():
            raise ExplanationCancelledError("Measuring the explanation was cancelled: start it again.")
        stop = min(start + chunk, count)
        with torch.inference_mode():
            batch = images(start, stop).contiguous(memory_format=torch.channels_last)
            probabilities.append(target_score(subject.model.logits(batch), subject.target, "probability").cpu())
        if subject.progress is not None:
            subject.progress(stop - start)
    return torch.cat(probabilities).double().numpy() if probabilities else np.zeros(0)


def pixel_ranks(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the rank (H, W) of every pixel of a heatmap (H, W): 0 for the highest value, ties in order of position.

    Metrics need an exact number of pixels. A threshold selects any number: at the zeros of a ReLU, most of them.
    """
    order = np.argsort(-values.ravel(), kind="stable")
    place = np.empty(order.size, dtype=np.int64)
    place[order] = np.arange(order.size)
    return place.reshape(values.shape)


def check_heatmap(subject: MeasuredSubject, heatmap: Heatmap) -> None:
    """Raise DataError if a heatmap's size or target differs from the subject's."""
    if heatmap.values.shape != subject.size_hw:
        raise DataError(
            f"expected a heatmap of {subject.size_hw} px, the size of the image, got {heatmap.values.shape}: "
            "measure it with the image that it explains."
        )
    if heatmap.target != subject.target:
        raise DataError(
            f"expected a heatmap of {target_text(subject.target)}, got one of {target_text(heatmap.target)}: "
            "explain the same target."
        )
