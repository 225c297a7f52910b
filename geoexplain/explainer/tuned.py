"""What a model has of the table of explanations: weights are tuned for some models only."""

from dataclasses import replace
from functools import partial

from geoexplain.errors import DataError
from geoexplain.explainer.combine import Preset
from geoexplain.explainer.table import (
    CAMS,
    COMBINATION,
    EXPLANATIONS,
    TUNED,
    ExplanationKind,
    canonical,
    draw_preset,
    is_tuned,
    of_family,
    preset_of_weights,
    tuned_weights,
)
from geoexplain.locator.model import GeoModel


def presets() -> dict[str, Preset]:
    """Every preset that all models have, by the name of its explanation; combinations first."""
    found = {name: kind.preset for name, kind in EXPLANATIONS.items() if kind.preset is not None}
    combined = of_family(COMBINATION)
    return {name: found[name] for name in sorted(found, key=lambda name: name not in combined)}


def presets_of(model: GeoModel) -> dict[str, Preset]:
    """`presets`, and TUNED if weights were tuned for the model."""
    return {**presets(), TUNED: preset_of_weights(tuned_weights(model))} if is_tuned(model) else presets()


def preset_of(model: GeoModel, name: str) -> Preset:
    """One of `presets_of`, by its present or a former name.

    Raises DataError for TUNED where there is none, and for another name.
    """
    if canonical(name) == TUNED:
        tuned_weights(model)
    if canonical(name) not in presets_of(model):
        raise DataError(f"expected a preset out of {tuple(presets_of(model))}, got {name!r}: choose one of these.")
    return presets_of(model)[canonical(name)]


def candidates_of(model: GeoModel) -> dict[str, ExplanationKind]:
    """Every CAM and Combi-CAM that a model has: TUNED only if weights were tuned for it."""
    found = of_family(*CAMS)
    tuned = found.pop(TUNED, None)
    if tuned is not None and is_tuned(model):
        # The weights stay this model's own when it is drawn for another network, as the sanity check does.
        preset = preset_of_weights(tuned_weights(model))
        found[TUNED] = replace(tuned, draw=partial(draw_preset, preset))
    return found


def traced_candidates(model: GeoModel) -> dict[str, ExplanationKind]:
    """Those of `candidates_of` for which one trace is enough."""
    return {name: kind for name, kind in candidates_of(model).items() if not kind.passes}


def candidate_of(model: GeoModel, name: str) -> ExplanationKind:
    """One of `candidates_of`, by its present or a former name.

    Raises DataError for TUNED where there is none, and for another name.
    """
    if canonical(name) == TUNED:
        tuned_weights(model)
    if canonical(name) not in candidates_of(model):
        raise DataError(f"expected a method out of {tuple(candidates_of(model))}, got {name!r}: choose one of these.")
    return candidates_of(model)[canonical(name)]
