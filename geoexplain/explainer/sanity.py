"""Does a heatmap depend on what the network has learnt? Draw its weights anew, part by part, and look again."""

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
from geoexplain.explainer.sanity_verdict import Comparisons, finding, sentence_of, verdict_of
from geoexplain.explainer.subject import Seed, Subject
from geoexplain.explainer.table import ExplanationKind
from geoexplain.explainer.target import Explained
from geoexplain.explainer.trace import trace
from geoexplain.explainer.tuned import traced_candidates
from geoexplain.locator.model import GeoModel, Network

DRAWS = 20
"""How often all weights are drawn, unless told otherwise. A coarse map has so few independent pixels that a single draw
may agree with it by chance, to a correlation of 0.6 either way."""

CASCADES = 3
"""How many of the draws are also looked at part by part, unless told otherwise: it takes ten times as long, and the
verdict is about all weights being random."""


@dataclass(frozen=True, eq=False)
class SanityCheck:
    """How one kind of heatmap changes while the weights are drawn anew, from the head to the stem.

    candidate  its name
    steps      the part that is drawn at each step, in addition to those before it
    compared   every drawn map with the original one (draws, steps)
    found      what the resemblances of the last step say, all weights being random
    verdict    DEPENDS, PARTLY, SURVIVES, TOO_FEW, or NO_MAP if there is no map to speak of
    sentence   the verdict in words, with the figures that decide it
    """

    candidate: str
    steps: tuple[str, ...]
    compared: Comparisons
    found: Equivalence
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
    seen: Callable[[int, int, Mapping[str, Heatmap]], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, SanityCheck]:
    """Cascading randomisation of a network for one image (1, 3, H, W) and cell (Adebayo et al., NeurIPS 2018).

    candidates  None: all of the model's that one trace is enough for
    draws      networks whose weights are all random, at least 1; the verdict is about these
    cascades   how many of them are looked at part by part, from the head to the stem, at most `draws`
    seed       one number ≥ 0, or several that together make one
    seen       is shown (draw, step, every candidate's heatmap)
    progress   hears (networks looked at, all of them)
    cancelled  is asked before each

    One trace per network serves all candidates. The model itself is not touched: copies are. Raises DataError for a
    cell that the model has not, or draws or cascades that cannot be, ExplanationCancelledError when called off.
    """
    if draws < 1 or cascades < 0:
        raise DataError(f"expected at least 1 draw of the weights and 0 cascades, got {draws} and {cascades}.")
    if candidates is None:
        candidates = traced_candidates(model)
    original = heatmaps(model, tensor, target, candidates)
    names = [name for name, _ in parts(model)]
    cascades, shape = min(cascades, draws), (draws, len(names))
    found = {name: Comparisons(*(np.full(shape, np.nan) for _ in range(3))) for name in candidates}
    done, total = 0, cascades * len(names) + draws - cascades
    for draw in range(draws):
        networks = randomised(model, draw_seed(seed, draw), whole=draw >= cascades)
        for step, changed in networks:
            if cancelled is not None and cancelled():
                raise ExplanationCancelledError("The sanity check was cancelled: start it again.")
            drawn = heatmaps(changed, tensor, target, candidates)
            if seen is not None:
                seen(draw, step, drawn)
            for name, heatmap in drawn.items():
                found[name].compare(original[name], heatmap, (draw, step))
            done += 1
            if progress is not None:
                progress(done, total)
    return {
        name: judged(name, candidate.title, tuple(names), found[name], flat=original[name].flat)
        for name, candidate in candidates.items()
    }


def heatmaps(
    model: GeoModel, tensor: Tensor, target: Explained, candidates: Mapping[str, ExplanationKind]
) -> dict[str, Heatmap]:
    """The heatmap of every candidate for the probability of one cell, from one trace."""
    traced = trace(model, tensor, target, "probability")
    return {name: candidate.draw(Subject(model, tensor, traced)) for name, candidate in candidates.items()}


def parts(model: GeoModel) -> list[tuple[str, nn.Module]]:
    """The parts of a model's network that hold weights, from the head to the stem, by name."""
    return parts_of(model.network)


def parts_of(network: Network) -> list[tuple[str, nn.Module]]:
    """The same of a network."""
    backbone = network.backbone
    stages = [(f"stage {i}", stage) for i, stage in enumerate(backbone.stages, 1)]
    found = [
        ("head", network.head),
        ("last convolution", backbone.head),
        *reversed(stages),
        ("stem", backbone.stem),
    ]
    return [(name, part) for name, part in found if any(True for _ in part.parameters())]


def draw_seed(seed: Seed, draw: int) -> int:
    """The seed of one draw's random numbers."""
    numbers = (seed,) if isinstance(seed, int) else tuple(seed)
    return int(np.random.SeedSequence((*numbers, draw)).generate_state(1)[0])


def randomised(model: GeoModel, seed: int, *, whole: bool = False) -> Iterator[tuple[int, GeoModel]]:
    """A copy of a model with the head's weights drawn anew, then also those of the last stage, and so on to the stem.

    Gives the place in `parts` of the part that was drawn last and the model, which holds until the next is asked for.
    `whole` gives the last of them alone, all of whose weights are drawn: the same as of the whole cascade.
    """
    network = copy.deepcopy(model.network)

    def answering() -> GeoModel:
        # What answers is made from the network anew, since it holds the normalisation folded into the weights.
        return GeoModel(
            network.backbone, network.head, model.partition, model.preprocess, name=model.name, device=model.device
        )

    drawn = parts_of(network)
    generator = torch.Generator().manual_seed(seed)
    for step, (_, part) in enumerate(drawn):
        draw_weights(part, generator)
        if not whole or step == len(drawn) - 1:
            yield step, answering()


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


def judged(name: str, title: str, steps: tuple[str, ...], compared: Comparisons, *, flat: bool) -> SanityCheck:
    """The verdict on a candidate's comparisons (draws, steps), by the interval of its mean resemblance at the end."""
    found = finding(compared.resemblances()[:, -1])
    sentence = sentence_of(title, found, "draw", compared.figures(), flat=flat)
    return SanityCheck(name, steps, compared, found, verdict_of(found, flat=flat), sentence)
