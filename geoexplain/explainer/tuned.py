"""The presets and candidates of one model: those of the table of explanations, and its tuned weights if it has any."""

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
    canonical_name,
    draw_preset,
    is_tuned,
    kinds_of_family,
    preset_of_weights,
    tuned_weights,
)
from geoexplain.locator.model import GeoModel


def presets() -> dict[str, Preset]:
    """Return every preset that all models have, by the name of its explanation; combinations first."""
    unsorted = {name: kind.preset for name, kind in EXPLANATIONS.items() if kind.preset is not None}
    combined = kinds_of_family(COMBINATION)
    return {name: unsorted[name] for name in sorted(unsorted, key=lambda name: name not in combined)}


def presets_of(model: GeoModel) -> dict[str, Preset]:
    """Return `presets`, and TUNED if weights were tuned for the model."""
    return {**presets(), TUNED: preset_of_weights(tuned_weights(model))} if is_tuned(model) else presets()


def preset_of(model: GeoModel, name: str) -> Preset:
    """Return one of `presets_of`, by its present or a former name.

    Raises DataError for TUNED if no weights were tuned for the model, and for another name.
    """
    if canonical_name(name) == TUNED:
        tuned_weights(model)
    if canonical_name(name) not in presets_of(model):
        raise DataError(f"expected a preset out of {tuple(presets_of(model))}, got {name!r}: choose one of these.")
    return presets_of(model)[canonical_name(name)]


def candidates_of(model: GeoModel) -> dict[str, ExplanationKind]:
    """Return every CAM and Combi-CAM of a model, with TUNED only if weights were tuned for it."""
    kinds = kinds_of_family(*CAMS)
    tuned = kinds.pop(TUNED, None)
    if tuned is not None and is_tuned(model):
        # Drawing uses this model's weights for any network, since the sanity check draws for random copies.
        preset = preset_of_weights(tuned_weights(model))
        kinds[TUNED] = replace(tuned, draw=partial(draw_preset, preset))
    return kinds


def traced_candidates(model: GeoModel) -> dict[str, ExplanationKind]:
    """Return those of `candidates_of` that need a single trace."""
    return {name: kind for name, kind in candidates_of(model).items() if not kind.passes}


def candidate_of(model: GeoModel, name: str) -> ExplanationKind:
    """Return one of `candidates_of`, by its present or a former name.

    Raises DataError for TUNED if no weights were tuned for the model, and for another name.
    """
    if canonical_name(name) == TUNED:
        tuned_weights(model)
    if canonical_name(name) not in candidates_of(model):
        raise DataError(f"expected a method out of {tuple(candidates_of(model))}, got {name!r}: choose one of these.")
    return candidates_of(model)[canonical_name(name)]
