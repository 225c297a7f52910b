"""Sanity check: does a heatmap change when the network's weights are replaced by random ones, part by part?"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from geoexplain.errors import DataError
from geoexplain.explainer.cams import ExplanationCancelledError
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.equivalence import Equivalence
from geoexplain.explainer.sanity_verdict import Comparisons, classify_resemblances, verdict_name, verdict_sentence
from geoexplain.explainer.subject import Seed, Subject
from geoexplain.explainer.table import ExplanationKind
from geoexplain.explainer.target import Explained
from geoexplain.explainer.trace import trace
from geoexplain.explainer.tuned import traced_candidates
from geoexplain.locator.model import GeoModel, Network

DRAWS = 20
"""Default number of draws of all weights. A coarse map has so few independent pixels that the map of a single draw may
correlate with it by chance, up to ±0.6."""

CASCADES = 3
"""Default number of draws that are also examined part by part. That takes ten times as long, and the verdict depends
only on the networks whose weights are all random."""


@dataclass(frozen=True, eq=False)
class SanityCheck:
    """How one kind of heatmap changes while the weights are randomized, from the head to the stem.

    candidate  its name
    steps      the part that is randomized at each step, in addition to those before it
    compared   comparison of every random network's map with the original one (draws, steps)
    result     range of the mean resemblance at the last step, where all weights are random
    verdict    DEPENDS, PARTLY, SURVIVES, TOO_FEW, or NO_MAP if the original map is flat
    sentence   the verdict in words, with the figures that it is based on
    """

    candidate: str
    steps: tuple[str, ...]
    compared: Comparisons
    result: Equivalence
    verdict: str
    sentence: str


def sanity_checks(
    model: GeoModel,
    tensor: Tensor,
    target: Explained,
    candidates: Mapping[str, ExplanationKind] | None = None,
    *,
    draws: int = DRAWS,
    cascades: int = CASCADES,
    seed: Seed = 0,
    on_maps: Callable[[int, int, Mapping[str, Heatmap]], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, SanityCheck]:
    """Run cascading randomization of a network for one image (1, 3, H, W) and cell (Adebayo et al., NeurIPS 2018).

    candidates  explanations to check, by name; None: all of the model's that need a single trace
    draws       number of networks whose weights are all random, at least 1; the verdict is based on these
    cascades    how many of them are examined part by part, from the head to the stem; at most `draws`
    seed        one number ≥ 0, or several that together make one seed
    on_maps     called as on_maps(draw, step, heatmap of every candidate)
    progress    called as progress(done, total) with counts of networks
    cancelled   called before each network; if it returns True, ExplanationCancelledError is raised

    One trace per network serves all candidates. The weights of copies are changed, never those of the model itself.
    Raises DataError for a cell that does not exist, or fewer than 1 draw or 0 cascades, and ExplanationCancelledError
    when cancelled.
    """
    if draws < 1 or cascades < 0:
        raise DataError(
            f"expected at least 1 draw of the weights and at least 0 cascades, got {draws} and {cascades}: "
            f"{DRAWS} and {CASCADES} are usual."
        )
    if candidates is None:
        candidates = traced_candidates(model)
    original = draw_heatmaps(model, tensor, target, candidates)
    names = [name for name, _ in weighted_parts(model)]
    cascades, shape = min(cascades, draws), (draws, len(names))
    comparisons = {name: Comparisons(*(np.full(shape, np.nan) for _ in range(3))) for name in candidates}
    done, total = 0, cascades * len(names) + draws - cascades
    for draw in range(draws):
        networks = randomized_models(model, draw_seed(seed, draw), whole=draw >= cascades)
        for step, changed in networks:
            if cancelled is not None and cancelled():
                raise ExplanationCancelledError("The sanity check was cancelled: start it again.")
            drawn = draw_heatmaps(changed, tensor, target, candidates)
            if on_maps is not None:
                on_maps(draw, step, drawn)
            for name, heatmap in drawn.items():
                comparisons[name].compare(original[name], heatmap, (draw, step))
            done += 1
            if progress is not None:
                progress(done, total)
    return {
        name: judge_candidate(name, candidate.title, tuple(names), comparisons[name], flat=original[name].flat)
        for name, candidate in candidates.items()
    }


def draw_heatmaps(
    model: GeoModel, tensor: Tensor, target: Explained, candidates: Mapping[str, ExplanationKind]
) -> dict[str, Heatmap]:
    """Draw the heatmap of every candidate for the probability of one cell, from one trace."""
    traced = trace(model, tensor, target, "probability")
    return {name: candidate.draw(Subject(model, tensor, traced)) for name, candidate in candidates.items()}


def weighted_parts(model: GeoModel) -> list[tuple[str, nn.Module]]:
    """Return the parts of a model's network that hold weights, from the head to the stem, as (name, part)."""
    return network_parts(model.network)


def network_parts(network: Network) -> list[tuple[str, nn.Module]]:
    """Return the parts of a network that hold weights, from the head to the stem, as (name, part)."""
    backbone = network.backbone
    stages = [(f"stage {i}", stage) for i, stage in enumerate(backbone.stages, 1)]
    all_parts = [
        ("head", network.head),
        ("last convolution", backbone.head),
        *reversed(stages),
        ("stem", backbone.stem),
    ]
    return [(name, part) for name, part in all_parts if any(True for _ in part.parameters())]


def draw_seed(seed: Seed, draw: int) -> int:
    """Return the seed of one draw's random numbers."""
    numbers = (seed,) if isinstance(seed, int) else tuple(seed)
    return int(np.random.SeedSequence((*numbers, draw)).generate_state(1)[0])


def randomized_models(model: GeoModel, seed: int, *, whole: bool = False) -> Iterator[tuple[int, GeoModel]]:
    """Randomize a copy of a model part by part: the head, then also the last stage, and so on to the stem.

    Yields (index in `weighted_parts` of the last randomized part, model). A yielded model is valid only until the next
    one is requested. With `whole`, yields the last model alone, whose weights are all random: the same as the last one
    of the cascade.
    """
    network = copy.deepcopy(model.network)

    def current_model() -> GeoModel:
        # Built anew at every step, since a GeoModel holds the normalisation folded into the weights.
        return GeoModel(
            network.backbone, network.head, model.partition, model.preprocess, name=model.name, device=model.device
        )

    drawn = network_parts(network)
    generator = torch.Generator().manual_seed(seed)
    for step, (_, part) in enumerate(drawn):
        draw_weights(part, generator)
        if not whole or step == len(drawn) - 1:
            yield step, current_model()


def draw_weights(part: nn.Module, generator: torch.Generator) -> None:
    """Replace all weights of a part: normal with variance 2 / fan-in, biases 0, normalisation without effect.

    With this variance (He et al. 2015, eq. 10), signals keep their order of magnitude through many layers. Smaller
    weights would let them fade, and maps would be flat for that reason alone.
    """
    with torch.no_grad():
        for module in part.modules():
            normalizes = isinstance(module, _BatchNorm | nn.LayerNorm | nn.GroupNorm)
            for name, parameter in module.named_parameters(recurse=False):
                if parameter.dim() > 1:
                    fan_in = parameter[0].numel()
                    drawn = torch.randn(parameter.shape, generator=generator) * math.sqrt(2 / fan_in)
                    parameter.copy_(drawn)
                else:
                    parameter.fill_(1.0 if normalizes and name == "weight" else 0.0)
            if isinstance(module, _BatchNorm) and module.running_mean is not None:
                module.reset_running_stats()


def judge_candidate(name: str, title: str, steps: tuple[str, ...], compared: Comparisons, *, flat: bool) -> SanityCheck:
    """Judge a candidate's comparisons (draws, steps) by the interval of its mean resemblance at the last step."""
    result = classify_resemblances(compared.resemblances()[:, -1])
    sentence = verdict_sentence(title, result, "draw", compared.figures(), flat=flat)
    return SanityCheck(name, steps, compared, result, verdict_name(result, flat=flat), sentence)
