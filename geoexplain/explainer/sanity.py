"""Does a heatmap depend on what the network has learnt? Draw its weights anew, part by part, and look again."""

import copy
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from geoexplain.errors import DataError
from geoexplain.explainer.cams import ExplanationCancelledError
from geoexplain.explainer.candidates import CANDIDATES, Candidate
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.similarity import rank_correlation, structural_similarity
from geoexplain.explainer.target import Explained
from geoexplain.explainer.trace import trace
from geoexplain.locator.model import GeoModel

DRAWS = 5
"""How often the weights are drawn, unless told otherwise. A coarse map has so few independent pixels that a single
draw may agree with it by chance, to a correlation of 0.6 either way; what a map owes to the image is in the mean."""

SURVIVES, DEPENDS = 0.5, 0.2
"""Size of the mean rank correlation with the original, all weights being random, from which on a map is said to survive
them, and up to which it is said to depend on them. Our own choice: Adebayo et al. give none."""

CHANCE_ERRORS = 3.0
"""Standard errors of that mean within which it counts as chance. Of 5 draws, 3 are exceeded in 4 % of the cases."""

SANITY_CANDIDATES = {name: candidate for name, candidate in CANDIDATES.items() if candidate.gradient}
"""What is checked unless told otherwise: all that one trace per step gives."""


@dataclass(frozen=True, eq=False)
class SanityCheck:
    """How one kind of heatmap changes while the weights are drawn anew, from the head to the stem.

    candidate     its name
    steps         the part that is drawn at each step, in addition to those before it
    correlations  float64 (draws, steps): Spearman's rank correlation with the original map, NaN where one is flat
    similarities  float64 (draws, steps): SSIM with the original map, NaN likewise
    verdict       "depends", "partly" or "survives"; "none" if there is no map to speak of
    sentence      the verdict in words, with the figures that decide it
    """

    candidate: str
    steps: tuple[str, ...]
    correlations: NDArray[np.float64]
    similarities: NDArray[np.float64]
    verdict: str
    sentence: str

    def mean_correlations(self) -> NDArray[np.float64]:
        """Mean over the draws (steps,); NaN where every map is flat."""
        return _mean(self.correlations)

    def mean_similarities(self) -> NDArray[np.float64]:
        """Mean over the draws (steps,); NaN where every map is flat."""
        return _mean(self.similarities)


def sanity_checks(
    model: GeoModel,
    tensor: Tensor,
    target: Explained,
    candidates: Mapping[str, Candidate] = SANITY_CANDIDATES,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    seen: Callable[[int, int, Mapping[str, Heatmap]], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, SanityCheck]:
    """Cascading randomisation of a network for one image (1, 3, H, W) and cell (Adebayo et al., NeurIPS 2018).

    One trace per step and draw serves all candidates. `seen` is shown (draw, step, every candidate's heatmap);
    `progress` hears (steps done, all steps of all draws); `cancelled` is asked before each. The model itself is not
    touched: copies are. Raises DataError for a cell that the model has not, or draws below 1, ExplanationCancelledError
    when called off.
    """
    if draws < 1:
        raise DataError(f"expected at least 1 draw of the weights, got {draws}.")
    original = heatmaps(model, tensor, target, candidates)
    names = [name for name, _ in parts(model)]
    shape = (draws, len(names))
    correlations = {name: np.full(shape, np.nan) for name in candidates}
    similarities = {name: np.full(shape, np.nan) for name in candidates}
    for draw in range(draws):
        for step, (_, changed) in enumerate(randomised(model, seed + draw)):
            if cancelled is not None and cancelled():
                raise ExplanationCancelledError("The sanity check was cancelled: start it again.")
            drawn = heatmaps(changed, tensor, target, candidates)
            if seen is not None:
                seen(draw, step, drawn)
            for name, heatmap in drawn.items():
                correlations[name][draw, step] = rank_correlation(original[name].values, heatmap.values)
                similarities[name][draw, step] = structural_similarity(original[name].values, heatmap.values)
            if progress is not None:
                progress(draw * len(names) + step + 1, draws * len(names))
    return {
        name: judged(
            name, candidate.title, tuple(names), correlations[name], similarities[name], flat=original[name].flat
        )
        for name, candidate in candidates.items()
    }


def heatmaps(
    model: GeoModel, tensor: Tensor, target: Explained, candidates: Mapping[str, Candidate]
) -> dict[str, Heatmap]:
    """The heatmap of every candidate for the probability of one cell, from one trace."""
    traced = trace(model, tensor, target, "probability")
    return {name: candidate.draw(model, tensor, traced) for name, candidate in candidates.items()}


def parts(model: GeoModel) -> list[tuple[str, nn.Module]]:
    """The parts of a network that hold weights, from the head to the stem, by name."""
    backbone = model.network.backbone
    stages = [(f"stage {i}", stage) for i, stage in enumerate(backbone.stages, 1)]
    found = [
        ("head", model.network.head),
        ("last convolution", backbone.head),
        *reversed(stages),
        ("stem", backbone.stem),
    ]
    return [(name, part) for name, part in found if any(True for _ in part.parameters())]


def randomised(model: GeoModel, seed: int) -> Iterator[tuple[str, GeoModel]]:
    """A copy of a model with the head's weights drawn anew, then also those of the last stage, and so on to the stem.

    Gives the name of the part that was drawn last and the model, which holds until the next is asked for.
    """
    network = copy.deepcopy(model.network)
    changing = GeoModel(
        network.backbone, network.head, model.partition, model.preprocess, name=model.name, device=model.device
    )
    generator = torch.Generator().manual_seed(seed)
    for name, part in parts(changing):
        draw_weights(part, generator)
        # What answers is made from the network anew, since it holds the normalisation folded into the weights.
        yield (
            name,
            GeoModel(
                network.backbone, network.head, model.partition, model.preprocess, name=model.name, device=model.device
            ),
        )


def draw_weights(part: nn.Module, generator: torch.Generator) -> None:
    """Replace all weights of a part: normal with variance 2 / fan-in, biases 0, normalisation without effect.

    He et al. 2015, eq. 10: signals keep their order of magnitude on their way through many layers, whereas with
    smaller weights they would fade, and maps be flat for no other reason.
    """
    with torch.no_grad():
        for module in part.modules():
            normalises = isinstance(module, _BatchNorm | nn.LayerNorm | nn.GroupNorm)
            for name, parameter in module.named_parameters(recurse=False):
                if parameter.dim() > 1:
                    fan_in = parameter[0].numel()
                    drawn = torch.randn(parameter.shape, generator=generator) * math.sqrt(2 / fan_in)
                    parameter.copy_(drawn)
                else:
                    parameter.fill_(1.0 if normalises and name == "weight" else 0.0)
            if isinstance(module, _BatchNorm) and module.running_mean is not None:
                module.reset_running_stats()


def judged(
    name: str,
    title: str,
    steps: tuple[str, ...],
    correlations: NDArray[np.float64],
    similarities: NDArray[np.float64],
    *,
    flat: bool,
) -> SanityCheck:
    """The verdict on a candidate's correlations and similarities (draws, steps), by the means of the last step.

    Of one draw nothing is known of chance, and its correlation is taken as it is.
    """
    correlation, similarity = float(_mean(correlations)[-1]), float(_mean(similarities)[-1])
    last = correlations[np.isfinite(correlations[:, -1]), -1]
    chance = CHANCE_ERRORS * float(last.std(ddof=1)) / math.sqrt(len(last)) if len(last) > 1 else 0.0
    figures = (
        f"rank correlation {correlation:.2f}, {np.nanmin(correlations[:, -1]):.2f} to "
        f"{np.nanmax(correlations[:, -1]):.2f} in {len(correlations)} draws; SSIM {similarity:.2f}"
        if not math.isnan(correlation)
        else ""
    )
    if flat:
        verdict, words = "none", "the map is flat, so there is nothing to check"
    elif math.isnan(correlation):
        verdict, words = "depends", "with all weights random the map is flat: it depends on what was learnt"
    elif abs(correlation) <= max(DEPENDS, chance):
        verdict = "depends"
        words = f"with all weights random no more is left than by chance ({figures}): it depends on what was learnt"
    elif abs(correlation) >= SURVIVES:
        same = "much the same" if correlation > 0 else "much the same, upside down"
        verdict = "survives"
        words = f"with all weights random the map is {same} ({figures}): it shows the image, not what was learnt"
    else:
        verdict = "partly"
        words = f"with all weights random part of the map remains ({figures}): that part is the image's own"
    sentence = f"{title}: {words}."
    return SanityCheck(name, steps, correlations, similarities, verdict, sentence)


def _mean(figures: NDArray[np.float64]) -> NDArray[np.float64]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is NaN, as it should be
        return np.nanmean(figures, axis=0)
