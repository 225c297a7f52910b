"""Check the options of `geoexplain explain` against a model before anything is drawn."""

import argparse
from dataclasses import dataclass

import numpy as np

from geoexplain.cli.arguments import numbers
from geoexplain.errors import DataError
from geoexplain.explainer.explanation import target_cell
from geoexplain.explainer.place import named_group
from geoexplain.explainer.table import COMBI_CAM, GRADIENT_CAM, kinds_of_family
from geoexplain.explainer.target import Explained
from geoexplain.explainer.tuned import preset_of
from geoexplain.locator.model import GeoModel


def parse_target(text: str) -> int | tuple[float, float]:
    """Parse `12` as a cell, `45.76,4.84` as a point in degrees; raise ArgumentTypeError for anything else."""
    try:
        if "," not in text:
            return int(text)
        lat, lon = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a cell such as 12, or a latitude and longitude such as 45.76,4.84, got {text!r}"
        ) from None
    return lat, lon


def parse_target_or_place(text: str) -> int | tuple[float, float] | str:
    """Parse a target like `parse_target`; other text with a letter in it is the name of a place."""
    try:
        return parse_target(text)
    except argparse.ArgumentTypeError:
        if any(character.isalpha() for character in text):
            return text.strip()
        raise


@dataclass(frozen=True)
class Recipe:
    """What to draw: the methods, the explained cell or place (None: the top cell), and the settings of Combi-CAM."""

    methods: tuple[str, ...]
    target: Explained | None
    score: str
    level: str
    how: str
    weights: tuple[float, ...]
    maps_of: str = "grad-cam"


def read_recipe(args: argparse.Namespace, model: GeoModel) -> Recipe:
    """Check the options against a model and return them as a recipe. Raises DataError for options that do not fit."""
    if not (args.out or args.save_maps or args.json or args.agreement):
        raise DataError(
            "expected something to write, got none: add --out DIR, --save-maps FILE.npz, --json or --agreement."
        )
    methods = tuple(dict.fromkeys(args.method or (COMBI_CAM, *kinds_of_family(GRADIENT_CAM))))
    for option, value in (("--stages", args.stages), ("--weights", args.weights)):
        if value is not None and COMBI_CAM not in methods:
            got = ", ".join(methods)
            raise DataError(f"{option}: expected --method {COMBI_CAM}, got {got}: add --method {COMBI_CAM}.")
    preset = preset_of(model, args.preset or COMBI_CAM)
    by_stages = args.stages is not None and args.preset is None
    level = args.level or ("stage" if by_stages else preset.level)
    count = len(model.backbone.stages if level == "stage" else model.backbone.blocks)
    own = preset.weights(count)
    weights = read_weights(args.stages, args.weights, level, count) or own
    if len(weights) != count:  # a tuned preset has as many as its own level
        raise DataError(
            f"--level: expected {preset.level}, which the preset {args.preset} and its {len(own)} weights are for, "
            f"got {level}: leave out --level, or add --weights."
        )
    target: Explained | None
    if isinstance(args.target, str):
        target = named_group(model, args.target)
    else:
        target = target_cell(model, args.target)
        if target is not None and not 0 <= target < len(model.partition):
            raise DataError(f"--target: expected a cell from 0 to {len(model.partition) - 1}, got {target}.")
    return Recipe(methods, target, args.score or preset.score, level, args.how or preset.how, weights, preset.method)


def read_weights(stages: str | None, weights: str | None, level: str, count: int) -> tuple[float, ...] | None:
    """Return one weight for each of `count` maps, from `--stages` and `--weights`; None when neither is given.

    Without weights every named stage weighs 1; stages that are not named weigh 0. Raises DataError when the two do not
    fit.
    """
    chosen = tuple(range(1, count + 1)) if stages is None else numbers(stages, int, "--stages", "3,5,7")
    if wrong := [index for index in chosen if not 1 <= index <= count]:
        raise DataError(f"--stages: expected numbers from 1 to {count}, the {level}s of this model, got {wrong[0]}.")
    if len(set(chosen)) < len(chosen):
        raise DataError(f"--stages: expected each {level} once, got {stages}.")
    if weights is None:
        given: tuple[float, ...] = (1.0,) * len(chosen)
    else:
        given = numbers(weights, float, "--weights", "1,.5,1")
    if len(given) != len(chosen):
        reason = f"one per {level} (see --level)" if stages is None else f"one for each of --stages {stages}"
        raise DataError(f"--weights: expected {len(chosen)} weights, {reason}, got {len(given)}.")
    if not all(np.isfinite(weight) and weight >= 0 for weight in given):
        raise DataError(f"--weights: expected finite numbers of at least 0, got {weights}.")
    if stages is None and weights is None:
        return None
    by_index = dict(zip(chosen, given, strict=True))
    return tuple(by_index.get(index, 0.0) for index in range(1, count + 1))
