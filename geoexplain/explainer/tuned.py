"""What weights that were tuned for a model add to what every model has: a preset, and a candidate."""

from functools import partial

from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.explainer.cams import METHODS, stage_maps
from geoexplain.explainer.candidates import CANDIDATES, Candidate
from geoexplain.explainer.combine import PRESETS, Heatmap, Preset, combine
from geoexplain.explainer.trace import Trace
from geoexplain.locator.model import GeoModel
from geoexplain.locator.tuned import StageWeights

TUNED = "tuned"
"""The preset, and the candidate, that only some models have."""
TUNED_CANDIDATE = "combi-cam-tuned"

TITLES = {**{name: candidate.title for name, candidate in CANDIDATES.items()}, TUNED_CANDIDATE: "Combi-CAM, tuned"}
"""Every candidate that a model may have, with its title."""


def tuned_weights(model: GeoModel) -> StageWeights:
    """The weights tuned for a model. Raises DataError, which says why there are none, for one without."""
    if model.tuned is None:
        raise DataError(
            model.untuned
            or f"model {model.name}: expected weights tuned for it, got none: `geoexplain tune --help` says how to "
            "make them."
        )
    return model.tuned


def presets_of(model: GeoModel) -> dict[str, Preset]:
    """PRESETS, and "tuned" if weights were tuned for the model."""
    tuned = model.tuned
    if tuned is None:
        return PRESETS
    title = f"Tuned for this model ({METHODS[tuned.method].title})"
    return {
        **PRESETS,
        TUNED: Preset(title, tuned.level, tuned.score, tuned.how, lambda _n: tuned.weights, tuned.method),
    }


def preset_of(model: GeoModel, name: str) -> Preset:
    """One of `presets_of`. Raises DataError for "tuned" where there is none, and for another name."""
    if name == TUNED:
        tuned_weights(model)
    if name not in presets_of(model):
        raise DataError(f"expected a preset out of {tuple(presets_of(model))}, got {name!r}: choose one of these.")
    return presets_of(model)[name]


def candidates_of(model: GeoModel) -> dict[str, Candidate]:
    """CANDIDATES, and "combi-cam-tuned" if weights were tuned for the model and explain the probability, as all do."""
    if model.tuned is None or model.tuned.score != "probability":
        return CANDIDATES
    return {**CANDIDATES, TUNED_CANDIDATE: Candidate(TITLES[TUNED_CANDIDATE], partial(of_weights, model.tuned))}


def traced_candidates(model: GeoModel) -> dict[str, Candidate]:
    """Those of `candidates_of` for which one trace is enough."""
    return {name: candidate for name, candidate in candidates_of(model).items() if candidate.gradient}


def candidate_of(model: GeoModel, name: str) -> Candidate:
    """One of `candidates_of`. Raises DataError for "combi-cam-tuned" where there is none, and for another name."""
    if name == TUNED_CANDIDATE:
        tuned_weights(model)
    if name not in candidates_of(model):
        raise DataError(f"expected a method out of {tuple(candidates_of(model))}, got {name!r}: choose one of these.")
    return candidates_of(model)[name]


def of_weights(tuned: StageWeights, _model: GeoModel, _tensor: Tensor, trace: Trace) -> Heatmap:
    """Combi-CAM by tuned weights."""
    return combine(stage_maps(trace, tuned.method, tuned.level), tuned.weights, tuned.how, trace.size_hw)
