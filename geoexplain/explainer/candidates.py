"""Everything that can be measured side by side: one heatmap per CAM method and per Combi-CAM, drawn from a trace."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from geoexplain.explainer.cams import METHODS, score_cam, stage_maps
from geoexplain.explainer.combine import PRESETS, Heatmap, combine, deepest
from geoexplain.explainer.trace import Trace
from geoexplain.locator.model import GeoModel


@dataclass(frozen=True)
class Candidate:
    """One way to a heatmap.

    title     for tables
    draw      the model, the normalised image (1, 3, H, W) and its trace of the probability → heatmap
    gradient  True if the trace is all it takes; False if it needs further passes of the network: then `draw` also
              takes `cancelled`
    """

    title: str
    draw: Callable[..., Heatmap]
    gradient: bool = True

    def heatmap(
        self, model: GeoModel, tensor: Tensor, trace: Trace, cancelled: Callable[[], bool] | None = None
    ) -> Heatmap:
        """Draw it; `cancelled` is asked before every pass. Raises ExplanationCancelledError when called off."""
        if self.gradient:
            return self.draw(model, tensor, trace)
        return self.draw(model, tensor, trace, cancelled=cancelled)


def of_deepest_stage(method: str, _model: GeoModel, _tensor: Tensor, trace: Trace) -> Heatmap:
    """A gradient method on its own, as its paper shows it: the map of the deepest stage."""
    maps = stage_maps(trace, method, "stage")
    return combine(maps, deepest(len(maps)), "sum", trace.size_hw)


def of_masked_scores(
    model: GeoModel, tensor: Tensor, trace: Trace, *, cancelled: Callable[[], bool] | None = None
) -> Heatmap:
    """Score-CAM of the deepest stage: one image through the network per channel."""
    stage_map = score_cam(model, tensor, trace, trace.stages[-1], cancelled=cancelled)
    return combine([stage_map], (1.0,), "sum", trace.size_hw)


def of_preset(preset: str, _model: GeoModel, _tensor: Tensor, trace: Trace) -> Heatmap:
    """Combi-CAM by one of PRESETS, made of Grad-CAMs."""
    setting = PRESETS[preset]
    maps = stage_maps(trace, "grad-cam", setting.level)
    return combine(maps, setting.weights(len(maps)), setting.how, trace.size_hw)


CANDIDATES: dict[str, Candidate] = {
    **{
        name: Candidate(
            method.title, partial(of_deepest_stage, name) if method.gradient else of_masked_scores, method.gradient
        )
        for name, method in METHODS.items()
    },
    "combi-cam": Candidate("Combi-CAM, as published", partial(of_preset, "as-published")),
    "combi-cam-all": Candidate("Combi-CAM, all stages alike", partial(of_preset, "all-stages")),
    "combi-cam-shallow": Candidate("Combi-CAM, shallow half", partial(of_preset, "shallow-only")),
}
"""Every explanation that is measured: the methods of METHODS at the deepest stage, and Combi-CAM by its presets (that
of the deepest stage alone is Grad-CAM). All explain the probability. Tables and command-line choices read this."""
