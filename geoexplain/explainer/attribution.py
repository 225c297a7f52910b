"""Attribution of every pixel: Integrated Gradients and SmoothGrad², computed with captum."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.explainer.cams import ExplanationCancelledError, is_flat
from geoexplain.explainer.target import Explained, resolve_target, target_score
from geoexplain.locator.model import GeoModel

ATTRIBUTION_MEMORY_BYTES = 512 * 2**20
"""Default bound on the memory of one chunk of images, with everything that their gradient needs."""

BYTES_PER_PIXEL = 2400
"""Memory of one image and its pass with gradients per input pixel. Measured on a CPU: 810 to 1,290 for EfficientNet-B0
at 224 px, 1,940 to 2,240 for B4 at 300 px."""

LARGEST_CPU_CHUNK = 4
"""Largest number of images per pass on a CPU, where larger batches are no faster per image."""

STEPS = 50
NOISE_LEVEL = 0.15
SAMPLES = 10
"""Noise level and samples of SmoothGrad² as in Theiner et al. (WACV 2022, sect. 3.2); 50 steps is captum's default."""

MOST_STEPS = 1000
MOST_SAMPLES = 1000


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much every value of the network's input contributes to the target's score.

    values              float32 (3, H, W): Integrated Gradients, signed; or SmoothGrad², ≥ 0
    method              name of the method in EXPLANATIONS
    target              the explained cell or cells
    score               "probability" or "logit"
    score_change        score of the image minus score of the path's start; Integrated Gradients should sum to this
    completeness_error  |their sum − score_change|, in units of the score

    For SmoothGrad², the last two are means over the noisy copies, computed before squaring.
    """

    values: np.ndarray
    method: str
    target: Explained
    score: str
    score_change: float
    completeness_error: float

    @property
    def saliency(self) -> np.ndarray:
        """The map float32 (H, W), ≥ 0: the largest magnitude over the channels."""
        return np.abs(self.values).max(axis=0)

    @property
    def flat(self) -> bool:
        """True if the map is constant up to rounding, so that there is nothing to show."""
        return is_flat(self.saliency)


def integrated_gradients(
    model: GeoModel,
    tensor: Tensor,
    target: Explained | None = None,
    score: str = "probability",
    *,
    baseline: Tensor | None = None,
    steps: int = STEPS,
    memory_bytes: int = ATTRIBUTION_MEMORY_BYTES,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Attribution:
    """Compute Integrated Gradients: (x − x₀) times the mean gradient on the straight line from x₀ to x.

    Sundararajan et al. 2017, eq. 1, by Gauss–Legendre quadrature.

    tensor        normalised image x (1, 3, H, W)
    target        the cell to explain, 0 … K − 1, or several cells as one; None: the most probable cell
    score         "probability" or "logit"
    baseline      x₀, normalised (1, 3, H, W); None: zeros, an image of mean colour
    steps         number of points on the line, 1 to MOST_STEPS
    memory_bytes  bound on the memory of one chunk of points, which holds at least one point
    progress      called as progress(done, total) with counts of points after every chunk
    cancelled     called before every chunk; if it returns True, ExplanationCancelledError is raised

    Leaves no hook and no `.grad` in the model; calls may run in parallel threads.
    Raises DataError for another shape, target, score or count, ExplanationCancelledError when cancelled.
    """
    path = _Path(
        model,
        tensor,
        target,
        score,
        baseline=baseline,
        steps=steps,
        samples=1,
        memory_bytes=memory_bytes,
        progress=progress,
        cancelled=cancelled,
    )
    values, change, error = path.integrate(path.image)
    return _attribution("integrated-gradients", path, values, [change], [error])


def smoothgrad_squared(
    model: GeoModel,
    tensor: Tensor,
    target: Explained | None = None,
    score: str = "probability",
    *,
    baseline: Tensor | None = None,
    steps: int = STEPS,
    noise_level: float = NOISE_LEVEL,
    samples: int = SAMPLES,
    seed: int = 0,
    memory_bytes: int = ATTRIBUTION_MEMORY_BYTES,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Attribution:
    """Compute SmoothGrad² of Integrated Gradients: the mean of their squares over noisy copies of the image.

    Hooker et al. 2019 (SmoothGrad-Squared), with the settings of Theiner et al. 2022.

    noise_level  standard deviation of the noise as a share of max x − min x (Smilkov et al. 2017), finite, ≥ 0
    samples      number of noisy copies, 1 to MOST_SAMPLES
    seed         seed of the noise: the same seed gives the same map

    The other arguments and the errors are those of integrated_gradients(); `progress` counts the points of all copies.
    """
    if not (math.isfinite(noise_level) and noise_level >= 0):
        raise DataError(f"expected a noise level that is finite and at least 0, got {noise_level}: 0.15 is usual.")
    path = _Path(
        model,
        tensor,
        target,
        score,
        baseline=baseline,
        steps=steps,
        samples=samples,
        memory_bytes=memory_bytes,
        progress=progress,
        cancelled=cancelled,
    )
    image = path.image
    deviation = noise_level * (image.max() - image.min())
    # captum's NoiseTunnel draws from torch's global generator, which other threads use at the same time. The noise is
    # drawn on the CPU, so that it is the same for every device.
    generator = torch.Generator().manual_seed(seed)
    squares, changes, errors = torch.zeros_like(image), [], []
    for _ in range(samples):
        noise = torch.randn(image.shape, generator=generator).to(image.device)
        values, change, error = path.integrate(image + deviation * noise)
        squares += values.square()
        changes.append(change)
        errors.append(error)
    return _attribution("smoothgrad-squared", path, squares / samples, changes, errors)


def _attribution(method: str, path: "_Path", values: Tensor, changes: list[float], errors: list[float]) -> Attribution:
    return Attribution(
        values=values[0].float().cpu().numpy(),
        method=method,
        target=path.target,
        score=path.score,
        score_change=float(np.mean(changes)),
        completeness_error=float(np.mean(errors)),
    )


class _Path:
    """One computation: the network's score along straight lines from the baseline, with its progress."""

    def __init__(
        self,
        model: GeoModel,
        tensor: Tensor,
        target: Explained | None,
        score: str,
        *,
        baseline: Tensor | None,
        steps: int,
        samples: int,
        memory_bytes: int,
        progress: Callable[[int, int], None] | None,
        cancelled: Callable[[], bool] | None,
    ):
        if tensor.dim() != 4 or tensor.shape[:2] != (1, 3):
            raise DataError(f"expected one image as a tensor (1, 3, H, W), got {tuple(tensor.shape)}: pass it singly.")
        if baseline is not None and baseline.shape != tensor.shape:
            raise DataError(
                f"expected a baseline of the image's shape {tuple(tensor.shape)}, got {tuple(baseline.shape)}: "
                "resize it, or leave it out for an image of mean colour."
            )
        for name, count, most in (("steps", steps, MOST_STEPS), ("samples", samples, MOST_SAMPLES)):
            if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= most:
                raise DataError(f"expected a whole number of {name} from 1 to {most}, got {count!r}: choose another.")
        # A clone, since a tensor made in inference mode cannot take part in a gradient.
        self.image = tensor.detach().to(model.device).clone()
        self.baseline = torch.zeros_like(self.image) if baseline is None else baseline.detach().to(self.image).clone()
        self.target = resolve_target(target, model.logits(self.image))
        self.score = score
        self._model = model
        self._baseline_score = self._plain_score(self.baseline)
        self._steps = steps
        height, width = self.image.shape[2:]
        largest = LARGEST_CPU_CHUNK if self.image.device.type == "cpu" else steps
        self._chunk = min(largest, max(1, memory_bytes // (BYTES_PER_PIXEL * height * width)))
        self._begun, self._total = 0, steps * samples
        self._progress, self._cancelled = progress, cancelled

    def integrate(self, image: Tensor) -> tuple[Tensor, float, float]:
        """Return one image's Integrated Gradients (1, 3, H, W), the change of the score, and the error of their sum."""
        from captum.attr import IntegratedGradients  # noqa: PLC0415  # takes two seconds to import

        values = IntegratedGradients(self._scores).attribute(
            image, self.baseline, n_steps=self._steps, internal_batch_size=self._chunk
        )
        self._report()
        change = self._plain_score(image) - self._baseline_score
        return values, change, abs(float(values.double().sum()) - change)

    def _scores(self, images: Tensor) -> Tensor:
        if self._begun % self._steps:
            self._report()
        if self._cancelled is not None and self._cancelled():
            raise ExplanationCancelledError(
                f"The attribution was cancelled after {self._begun} of {self._total} passes: start it again."
            )
        self._begun += len(images)
        return target_score(self._model.head(self._model.backbone(images)), self.target, self.score)

    def _report(self) -> None:
        if self._progress is not None:
            self._progress(self._begun, self._total)

    def _plain_score(self, image: Tensor) -> float:
        return float(target_score(self._model.logits(image), self.target, self.score)[0])
