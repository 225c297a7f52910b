"""Compare the explained cell with another one (--against), and the methods with one another (--agreement)."""

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geoexplain.cli.recipe import Recipe, parse_target
from geoexplain.errors import DataError
from geoexplain.explainer.agreement import Agreement, agreement, draw_all
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.contrast import Contrast, SignedMap, contrast
from geoexplain.explainer.explanation import Explanation, target_cell
from geoexplain.explainer.table import COMBI_CAM, GRADIENT_CAM, kinds_of_family
from geoexplain.explainer.target import CellGroup
from geoexplain.locator.model import GeoModel
from geoexplain.view.diverging import odds_in_words, two_coloured, with_legend
from geoexplain.view.export import cell_record
from geoexplain.words import percent


def add_comparison(parser: argparse.ArgumentParser) -> None:
    """Add --against and --agreement."""
    compared = parser.add_argument_group("what is compared")
    compared.add_argument(
        "--against",
        type=parse_target,
        metavar="CELL|LAT,LON",
        help="a second cell: also show, in two colours, what speaks for the explained cell rather than this one and "
        f"the other way round, by {COMBI_CAM} and every requested gradient method",
    )
    compared.add_argument(
        "--agreement",
        action="store_true",
        help="also print how similar the methods' heatmaps are: Spearman's rank correlation over all pixels, from -1 "
        "to 1 (Score-CAM is included with --method score-cam)",
    )


def checked_against(args: argparse.Namespace, model: GeoModel, recipe: Recipe) -> int | None:
    """Return the cell of `--against`, or None without that option.

    Raises DataError when the cell is not one of the model's or is the explained one, and when no requested method can
    contrast.
    """
    if args.against is None:
        return None
    against = target_cell(model, args.against)
    if against is None or not 0 <= against < len(model.partition):
        raise DataError(f"--against: expected a cell from 0 to {len(model.partition) - 1}, got {against}.")
    if isinstance(recipe.target, CellGroup):
        raise DataError(f"--against: expected --target to be a cell, got {recipe.target.label}: contrast two cells.")
    if against == recipe.target:
        raise DataError(f"--against: expected another cell than --target, got cell {against} for both.")
    if not {COMBI_CAM, *kinds_of_family(GRADIENT_CAM)} & set(recipe.methods):
        raise DataError(f"--against: expected a method that can contrast, got none: add --method {COMBI_CAM}.")
    return against


@dataclass(frozen=True, eq=False)
class Comparison:
    """The comparisons made on one image.

    contrast   the contrast of the two cells; None without --against
    maps       method → its signed map of the two cells
    agreement  the agreement of the methods; None unless requested
    """

    contrast: Contrast | None
    maps: dict[str, SignedMap]
    agreement: Agreement | None


def compare(
    explanation: Explanation,
    model: GeoModel,
    recipe: Recipe,
    heatmaps: Mapping[str, Heatmap],
    *,
    against: int | None,
    agreeing: bool,
) -> Comparison:
    """Compare the explained cell with `against` unless that is None, and the methods with one another if `agreeing`.

    `heatmaps` are those already drawn. One of a method that is not compared by default is added as it is, and a
    Combi-CAM with other settings than the published ones is added under a name of its own.
    """
    held = None if against is None else contrast(explanation, model, against)
    maps = {} if held is None else signed_maps(held, recipe)
    similarity = None
    if agreeing:
        drawn = draw_all(model, explanation.tensor, explanation.trace)
        own = {name: heatmap for name, heatmap in heatmaps.items() if name not in drawn}
        if COMBI_CAM in heatmaps and made_of(heatmaps[COMBI_CAM]) != made_of(drawn[COMBI_CAM]):
            own[f"{COMBI_CAM} (as set)"] = heatmaps[COMBI_CAM]
        similarity = agreement(drawn | own)
    return Comparison(held, maps, similarity)


def made_of(heatmap: Heatmap) -> tuple[Any, ...]:
    """Return the settings in which two Combi-CAMs of one trace can differ."""
    return heatmap.method, heatmap.level, heatmap.how, heatmap.weights


def signed_maps(held: Contrast, recipe: Recipe) -> dict[str, SignedMap]:
    """Draw the contrast by every requested method that can contrast, with Combi-CAM as the recipe sets it."""
    maps = {method: held.heatmap(method) for method in recipe.methods if method in kinds_of_family(GRADIENT_CAM)}
    if COMBI_CAM in recipe.methods:
        maps = {
            COMBI_CAM: held.combi_cam(recipe.weights, method=recipe.maps_of, level=recipe.level, how=recipe.how),
            **maps,
        }
    return maps


def describe_comparison(model: GeoModel, comparison: Comparison) -> list[str]:
    """Return lines on the two cells, on the contrasts that are flat, and the table of agreement."""
    lines: list[str] = []
    if comparison.contrast is not None:
        held, labels = comparison.contrast, model.partition.labels
        share = percent(held.here.prediction.probabilities[held.against])
        lines += [
            f"  against      cell {held.against}: {labels[held.against]}, {share}",
            f"  log-odds     {odds_in_words(labels[held.target], labels[held.against], held.log_odds)}",
        ]
        flat = ", ".join(name for name, signed in comparison.maps.items() if signed.flat)
        lines += [f"  contrast     flat: {flat}; nothing in the image speaks for one rather than the other"] * bool(
            flat
        )
    if comparison.agreement is not None:
        lines += ["  agreement    of the heatmaps, rank correlation over all pixels; those that agree may all be wrong"]
        lines += ["               (in brackets: no more than unrelated maps as coarse reach)"]
        lines += [f"  {line}" for line in table(comparison.agreement)]
    return lines


def table(similarity: Agreement) -> list[str]:
    """Format the matrix of correlations as lines of equal width; rows have a number and a name, columns the number.

    A dash stands for no value; values within the chance level are in brackets.
    """
    width = max(map(len, similarity.names))
    places = range(1, len(similarity.names) + 1)
    lines = [f"{'':{width + 4}}" + "".join(f"{place:>8}" for place in places)]
    beyond_chance = similarity.beyond_chance()
    for place, name, row in zip(places, similarity.names, similarity.correlations, strict=True):
        cells = (
            "–" if math.isnan(value) else f"{value:.2f}" if sure or other == place else f"({value:.2f})"
            for other, value, sure in zip(places, row, beyond_chance[place - 1], strict=True)
        )
        lines.append(f"{place:>2}  {name:<{width}}" + "".join(f"{cell:>8}" for cell in cells))
    return lines


def comparison_record(model: GeoModel, comparison: Comparison) -> dict[str, Any]:
    """Return the comparisons as plain data, under "contrast" and "agreement"; each only if it was requested."""
    record: dict[str, Any] = {}
    if comparison.contrast is not None:
        held = comparison.contrast
        record["contrast"] = {
            side: cell_record(model, held.here.prediction, cell)
            for side, cell in (("target", held.target), ("against", held.against))
        }
        record["contrast"] |= {
            "log_odds": held.log_odds,
            "maps": {
                name: {
                    "file": picture_name(name),
                    "flat": signed.flat,
                    "method": signed.here.method,
                    "level": signed.here.level,
                    "how": signed.here.how,
                    "weights": list(signed.here.weights),
                }
                for name, signed in comparison.maps.items()
            },
        }
    if comparison.agreement is not None:
        record["agreement"] = {"names": list(comparison.agreement.names)} | {
            key: [[None if math.isnan(value) else value for value in row] for row in matrix.tolist()]
            for key, matrix in (
                ("correlations", comparison.agreement.correlations),
                ("limits", comparison.agreement.limits),
            )
        }
    return record


def comparison_arrays(comparison: Comparison) -> dict[str, NDArray[np.float32]]:
    """Return the raw heatmaps of both cells under the keys that the command's help lists."""
    sides = {f"contrast/{name}/target": signed.here.values for name, signed in comparison.maps.items()}
    return sides | {f"contrast/{name}/against": signed.there.values for name, signed in comparison.maps.items()}


def save_contrasts(folder: Path, seen: Image.Image, model: GeoModel, comparison: Comparison, opacity: float) -> None:
    """Write every contrast in two colours, with its legend, over the part of the image that the network saw."""
    if comparison.contrast is None:
        return
    held, labels = comparison.contrast, model.partition.labels
    here, there = (
        f"{labels[cell]}: {percent(held.here.prediction.probabilities[cell])}" for cell in (held.target, held.against)
    )
    sentence = odds_in_words(labels[held.target], labels[held.against], held.log_odds)
    for name, signed in comparison.maps.items():
        words = (
            f"{sentence} Flat: nothing in the image speaks for one rather than the other." if signed.flat else sentence
        )
        picture = two_coloured(seen, signed.values, opacity)
        with_legend(picture, here, there, words).save(folder / picture_name(name))


def picture_name(method: str) -> str:
    """Return the file name of a method's contrast."""
    return f"contrast-{method}.png"
