"""Class activation maps (CAMs): one pure function per method, from one stage's activation and gradient to a map."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from geoexplain.errors import DataError, GeoExplainError
from geoexplain.explainer.target import Explained, target_score
from geoexplain.explainer.trace import Stage, Trace
from geoexplain.locator.model import GeoModel

FLAT_SPREAD = 1e-6
"""A map is flat if its values differ by no more than this fraction of its maximum: float32 rounding, not structure."""

SCORE_CAM_MEMORY_BYTES = 512 * 2**20
"""Default bound on the memory of one chunk of Score-CAM's masked images and their activations."""

BYTES_PER_PIXEL = 600
"""Memory of one masked image and its forward pass per input pixel, without gradients. Measured on a CPU: 390 to 470 for
EfficientNet-B0 at 224 px, 540 for B4 at 300 px. An EfficientNet's widest layer holds 24 to 36 floats per input pixel,
and about four tensors of that size exist at a time."""

LARGEST_CPU_CHUNK = 16
"""Largest number of images per pass on a CPU: larger batches do not fit into its cache and are slower per image."""


class ExplanationCancelledError(GeoExplainError):
    """The user, or the program, cancelled a running explanation."""


@dataclass(frozen=True, eq=False)
class StageMap:
    """The map of one method at one stage or block.

    values  float32 (h, w), ≥ 0, at the stage's own resolution; raw magnitude, never normalised
    index   position within its level, counted from 1 at the input
    level   "stage" or "block"
    method  name of the method in EXPLANATIONS
    target  the explained cell or cells
    score   "probability" or "logit"; "log-odds" in a contrast
    flat    True if the map is constant up to rounding, so that there is nothing to show
    """

    values: np.ndarray
    index: int
    level: str
    method: str
    target: Explained
    score: str
    flat: bool


def is_flat(values: np.ndarray) -> bool:
    """Return True if a map ≥ 0 of any shape is constant up to rounding (see FLAT_SPREAD)."""
    highest = values.max()
    return bool(highest - values.min() <= FLAT_SPREAD * highest)


def weighted_activations(weights: Tensor, activation: Tensor) -> Tensor:
    """Return ReLU(Σ_k w_k A_k) (h, w) for weights (C,) and an activation (C, h, w)."""
    return torch.einsum("c,chw->hw", weights, activation).relu()


def grad_cam(stage: Stage) -> Tensor:
    """Compute Grad-CAM (h, w): each channel's weight is its mean gradient. Selvaraju et al. 2017, eq. 1 and 2."""
    return weighted_activations(stage.gradient.mean(dim=(1, 2)), stage.activation)


def grad_cam_plus_plus(stage: Stage) -> Tensor:
    """Compute Grad-CAM++ (h, w): positive gradients weighted by α. Chattopadhay et al. 2018, eq. 19.

    α = g² / (2 g² + (Σ_ab A_ab) g³), and 0 where g = 0 or the denominator is 0.
    """
    gradient = stage.gradient
    # The fraction is reduced by g², since gradients of a probability are so small that g² and g³ underflow. For the
    # same reason the denominator has no constant: the package grad-cam adds 1e-6, more than 2 g² for |g| < 7e-4.
    denominator = 2 + stage.activation.sum(dim=(1, 2), keepdim=True) * gradient  # (C, h, w)
    weighted = torch.where(denominator == 0, 0.0, gradient.relu() / denominator)
    return weighted_activations(weighted.sum(dim=(1, 2)), stage.activation)


def layer_cam(stage: Stage) -> Tensor:
    """Compute LayerCAM (h, w): each position's weight is its positive gradient. Jiang et al. 2021, eq. 5 and 6."""
    return (stage.gradient.relu() * stage.activation).sum(dim=0).relu()


def channel_softmax(scores: Tensor) -> Tensor:
    """Return the softmax of the masked images' scores (C,) as weights (C,), as in the Score-CAM paper."""
    # The paper subtracts the score of an empty image first: a constant, which does not change a softmax.
    return torch.softmax(scores, dim=0)


def raw_probability(scores: Tensor) -> Tensor:
    """Return the masked images' probabilities (C,) unchanged as weights (C,), as in the Score-CAM authors' code."""
    return scores


WEIGHTINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "channel softmax": channel_softmax,
    "raw probability": raw_probability,
}
"""How Score-CAM turns scores of masked images into channel weights: as in the paper, or as in its authors' code."""


def score_weighted_cam(
    activation: Tensor, score_masked: Callable[[Tensor], Tensor], weighting: str = "channel softmax"
) -> Tensor:
    """Compute Score-CAM (h, w): a channel's weight is the masked input's score. Wang et al. 2020, eq. 2 to 6.

    activation    activation of a stage (C, h, w)
    score_masked  activation → score (C,) of the input masked by each channel, such as masked_scores()
    weighting     key in WEIGHTINGS
    """
    return weighted_activations(WEIGHTINGS[weighting](score_masked(activation)), activation)


def score_cam(
    model: GeoModel,
    tensor: Tensor,
    trace: Trace,
    stage: Stage,
    *,
    weighting: str = "channel softmax",
    memory_bytes: int = SCORE_CAM_MEMORY_BYTES,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> StageMap:
    """Compute the Score-CAM map of one stage or block: one forward pass per channel, in chunks, without gradients.

    tensor        the normalised image (1, 3, H, W) that `trace` was made from
    stage         one of `trace.stages` or `trace.blocks`; its channels C are the masks
    weighting     "channel softmax" (the paper) of the trace's score, or "raw probability" (its authors' code)
    memory_bytes  bound on the memory of one chunk, which holds at least one image
    progress      called as progress(done, total) with counts of channels after every chunk
    cancelled     called before every chunk; if it returns True, ExplanationCancelledError is raised

    Raises DataError for another weighting, ExplanationCancelledError when cancelled.
    """
    if weighting not in WEIGHTINGS:
        raise DataError(f"expected a weighting out of {tuple(WEIGHTINGS)}, got {weighting!r}: choose one of these.")
    score = "probability" if weighting == "raw probability" else trace.score
    score_masked = partial(
        masked_scores,
        model,
        tensor,
        trace.explained,
        score,
        memory_bytes=memory_bytes,
        progress=progress,
        cancelled=cancelled,
    )
    values = score_weighted_cam(stage.activation, score_masked, weighting)
    return replace(stage_map(trace, stage, "score-cam", values), score=score)


@torch.inference_mode()
def masked_scores(
    model: GeoModel,
    tensor: Tensor,
    target: Explained,
    score: str,
    activation: Tensor,
    *,
    memory_bytes: int = SCORE_CAM_MEMORY_BYTES,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Tensor:
    """Compute the score (C,) of the image (1, 3, H, W) masked by each channel of an activation (C, h, w).

    A mask is the channel upsampled to the image (bilinear, corners aligned) and min–max scaled to [0, 1]; masked-out
    pixels are zero in normalised space, that is of mean colour. A flat channel masks out the whole image.
    `memory_bytes`, `progress` and `cancelled` are as in score_cam().
    """
    image = tensor.to(model.device)
    height, width = image.shape[2:]
    channels = len(activation)
    chunk = images_per_pass(image.device, (height, width), memory_bytes)
    scores = []
    for start in range(0, channels, chunk):
        if cancelled is not None and cancelled():
            raise ExplanationCancelledError(
                f"Score-CAM was cancelled after {start} of {channels} channels: start it again."
            )
        masked = image * channel_masks(activation[start : start + chunk], (height, width))  # (n, 3, H, W)
        # Depthwise convolutions, most of an EfficientNet, run up to twice as fast on a CPU in this layout.
        logits = model.logits(masked.contiguous(memory_format=torch.channels_last))
        scores.append(target_score(logits, target, score).float())
        if progress is not None:
            progress(min(start + chunk, channels), channels)
    return torch.cat(scores)


def images_per_pass(device: torch.device, size_hw: tuple[int, int], memory_bytes: int = SCORE_CAM_MEMORY_BYTES) -> int:
    """Return how many inputs of a size fit into one forward pass, at least 1; on a CPU at most LARGEST_CPU_CHUNK."""
    fitting = max(1, memory_bytes // (BYTES_PER_PIXEL * size_hw[0] * size_hw[1]))
    return min(fitting, LARGEST_CPU_CHUNK) if device.type == "cpu" else fitting


def channel_masks(activation: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Turn channels (C, h, w) into masks (C, 1, H, W) in [0, 1]: upsampled, min–max scaled; a flat channel is zeros."""
    masks = F.interpolate(activation[:, None], size_hw, mode="bilinear", align_corners=True)
    lowest, highest = masks.aminmax(dim=3, keepdim=True)
    lowest, highest = lowest.amin(dim=2, keepdim=True), highest.amax(dim=2, keepdim=True)  # (C, 1, 1, 1)
    spread = highest - lowest
    # Interpolating a constant leaves rounding errors, which min–max scaling would amplify to a pattern.
    flat = spread <= FLAT_SPREAD * torch.maximum(highest.abs(), lowest.abs())
    return torch.where(flat, 0.0, (masks - lowest) / spread)


def stage_map(trace: Trace, stage: Stage, method: str, values: Tensor) -> StageMap:
    """Return values (h, w) ≥ 0 as the map of one method at one of a trace's stages or blocks."""
    array = values.cpu().numpy()
    return StageMap(array, stage.index, stage.level, method, trace.explained, trace.score, is_flat(array))
