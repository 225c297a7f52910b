"""`geoexplain explain`: draw what in an image speaks for a place."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from geoexplain.cli.arguments import add_images, add_model, chosen_model, number
from geoexplain.cli.attribute import attribution_record, completeness, drawn, shown
from geoexplain.cli.batch import Answer, answer_each, describe_doubt, describe_refinement
from geoexplain.cli.comparison import (
    Comparison,
    add_comparison,
    checked_against,
    compare,
    comparison_arrays,
    comparison_record,
    describe_comparison,
    save_contrasts,
)
from geoexplain.cli.recipe import Recipe, parse_target_or_place, read_recipe
from geoexplain.cli.refine import add_refinement, refinement
from geoexplain.errors import DataError
from geoexplain.explainer.combine import COMBINATIONS, Heatmap
from geoexplain.explainer.explanation import Explanation, explain
from geoexplain.explainer.table import (
    ATTRIBUTION,
    COMBI_CAM,
    GRADIENT_CAM,
    TUNED,
    canonical_name,
    kinds_of_family,
    network_kinds,
)
from geoexplain.explainer.target import SCORES
from geoexplain.explainer.trace import LEVELS
from geoexplain.explainer.tuned import presets
from geoexplain.locator.model import GeoModel
from geoexplain.view.diverging import STRONGEST_OPACITY
from geoexplain.view.export import prediction_record, target_record
from geoexplain.view.gate_words import gate_sentence
from geoexplain.view.overlay import COLORMAPS, DEFAULT_COLORMAP, overlay
from geoexplain.view.place_path import headline
from geoexplain.view.worldmap import save_world_map
from geoexplain.words import coordinates, counted, percent, plural

OPACITY = 0.5

EPILOG = """\
--out DIR receives, for each image:
  <method>.png      the heatmap over the part of the image that the network saw, at the image's resolution; values of a
                    pixel attribution are cut off at their 99th percentile
  explanation.json  the record of `locate --json`, and under "explanation" what was explained and how
  map.html          the prediction on a world map; one file, which opens without internet
  contrast-<method>.png  with --against: what speaks for the explained cell in orange, for the other one in blue
With several images each has its own folder in DIR, named after the file (photo, photo-2, …).

--save-maps FILE.npz holds float32 arrays, not normalised:
  <method>/stage/<1…>  the map of every stage at its own resolution, after ReLU, for every gradient method
  <method>/block/<1…>  the same for every block; for Score-CAM, if requested, the deepest stage alone
  <method>             every requested heatmap, at the size of the network's input
  contrast/<method>/target, contrast/<method>/against
                       with --against: what speaks for each cell; the colours show the first minus the second
With several images each has its own file: FILE-photo.npz, FILE-photo-2.npz, …

--json prints the record of `locate --json`, one line per image. --against adds a "contrast" and --agreement an
"agreement", here and in explanation.json. A southern latitude needs no quoting: --target -12.5,30 and
--target=-12.5,30 are the same."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `geoexplain explain`."""
    parser.description = (
        "Show what in an image speaks for a place. Give at least one of --out, --save-maps, --json, --agreement."
    )
    parser.epilog = EPILOG
    add_images(parser)
    add_model(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for overlays, explanation.json and map.html")
    parser.add_argument("--save-maps", type=Path, metavar="FILE.npz", help="file for the raw maps")
    parser.add_argument("--json", action="store_true", help="one JSON object per image and line instead of text")
    what = parser.add_argument_group("what is explained")
    what.add_argument(
        "--method",
        action="append",
        type=canonical_name,
        choices=tuple(network_kinds()),
        metavar="METHOD",
        help=f"{', '.join(network_kinds())}; may be given several times (default: {COMBI_CAM} and every gradient CAM). "
        f"A CAM method on its own is the map of its deepest stage; {' and '.join(kinds_of_family(ATTRIBUTION))} "
        "attribute every pixel by itself, in "
        f"{' and '.join(kind.passes for kind in kinds_of_family(ATTRIBUTION).values())} of the network",
    )
    what.add_argument(
        "--target",
        type=parse_target_or_place,
        metavar="CELL|LAT,LON|PLACE",
        help="the cell to explain, by its number or by a point in it (default: the most probable one); or the name of "
        "a place, such as Jordan or 'Lazio, Italy', to explain the sum of the probabilities of its cells",
    )
    what.add_argument(
        "--score", choices=tuple(SCORES), help="explain the cell's probability or its logit (default: the preset's)"
    )
    combi = parser.add_argument_group(COMBI_CAM, f"how {COMBI_CAM} combines the maps of Grad-CAM")
    combi.add_argument(
        "--preset",
        type=canonical_name,
        choices=(*presets(), TUNED),
        help=f"sets level, score, how and weights at once (default: {COMBI_CAM}); {TUNED} exists for models with "
        "weights from `geoexplain tune`, such as the bundled one",
    )
    combi.add_argument(
        "--level",
        choices=LEVELS,
        help="combine the maps of every stage or of every block (default: the preset's; stage if --stages is given)",
    )
    combi.add_argument(
        "--stages", metavar="3,5,7", help="use these stages (or blocks) only, counted from 1 at the input"
    )
    combi.add_argument(
        "--weights",
        metavar="1,.5,1",
        help="one weight per map: for each of --stages, otherwise for each stage (or block) of the model",
    )
    combi.add_argument("--how", choices=tuple(COMBINATIONS), help="the way of combining (default: the preset's)")
    add_comparison(parser)
    add_refinement(parser)
    looks = parser.add_argument_group("how it looks")
    looks.add_argument("--colormap", choices=tuple(COLORMAPS), default=DEFAULT_COLORMAP, help="default: %(default)s")
    looks.add_argument(
        "--opacity",
        type=number(float, 0, 1, "an opacity from 0 to 1"),
        help="opacity of the heatmap, from 0 (image alone) to 1, or of the strongest colour of a contrast "
        f"(default: {OPACITY}; {STRONGEST_OPACITY} of a contrast)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Explain every image; return 1 when one of them failed."""
    model = chosen_model(args)
    recipe = read_recipe(args, model)
    against = checked_against(args, model, recipe)
    opacity, strongest = (OPACITY, STRONGEST_OPACITY) if args.opacity is None else (args.opacity, args.opacity)
    refined = refinement(args, model, args.model)
    search = refined.search
    several = len(args.images) > 1
    for folder in filter(None, (args.out, args.save_maps and args.save_maps.parent)):
        make_folder(folder)

    def answer(image: str, name: str) -> Answer:
        explanation = explain(image, model, target=recipe.target, score=recipe.score, rule=refined.rule, search=search)
        heatmaps = draw(explanation, model, recipe)
        comparison = compare(explanation, model, recipe, heatmaps, against=against, agreeing=args.agreement)
        record = prediction_record(image, model, explanation.prediction, search=search)
        record |= comparison_record(model, comparison)
        words = describe(image, model, explanation, heatmaps)
        refined_words = describe_refinement(model, explanation.prediction, search)
        doubt = describe_doubt(image, model, explanation.prediction)
        text = "\n".join([*doubt, words, *refined_words, *describe_comparison(model, comparison)])
        if args.save_maps:
            file = args.save_maps
            file = file.with_name(f"{file.stem}-{name}{file.suffix}") if several else file
            save_maps(file, explanation, heatmaps, comparison)
            text += f"\n  raw maps in {file}"
        if args.out:
            folder = args.out / name if several else args.out
            make_folder(folder)
            seen = model.preprocess.visible(explanation.image)
            for method, heatmap in heatmaps.items():
                overlay(seen, shown(heatmap), opacity, args.colormap).save(folder / f"{method}.png")
            save_contrasts(folder, seen, model, comparison, strongest)
            looks = {"colormap": args.colormap, "opacity": opacity}
            whole = {**record, "explanation": explanation_record(model, explanation, heatmaps) | looks}
            page = json.dumps(whole, indent=2) + "\n"
            (folder / "explanation.json").write_text(page, encoding="utf-8")
            marked = {"target": explanation.target, "doubt": gate_sentence(model, explanation.prediction)}
            save_world_map(folder / "map.html", explanation.prediction, model.partition, **marked)
            text += f"\n  files in {folder}"
        return Answer(record, text)

    return answer_each(args.images, answer, as_json=args.json)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents; raise DataError when that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: expected a folder that can be written to, got '{error.strerror}'.") from None


def draw(explanation: Explanation, model: GeoModel, recipe: Recipe) -> dict[str, Heatmap]:
    """Draw every requested explanation, with Combi-CAM as the recipe sets it; return them by name."""
    return {
        method: explanation.combi_cam(recipe.weights, method=recipe.maps_of, level=recipe.level, how=recipe.how)
        if method == COMBI_CAM
        else drawn(explanation, model, method)
        for method in sorted(recipe.methods, key=lambda name: name in kinds_of_family(ATTRIBUTION))  # slow methods last
    }


def save_maps(file: Path, explanation: Explanation, heatmaps: dict[str, Heatmap], comparison: Comparison) -> None:
    """Write raw maps and finished heatmaps to one .npz, under the keys that the command's help lists."""
    gradient = kinds_of_family(GRADIENT_CAM)
    maps = [one for method in gradient for level in LEVELS for one in explanation.maps(method, level)]
    maps += [one for heatmap in heatmaps.values() for one in heatmap.maps if one.method not in gradient]
    arrays = {f"{one.method}/{one.level}/{one.index}": one.values for one in maps}
    arrays |= {name: heatmap.values for name, heatmap in heatmaps.items()} | comparison_arrays(comparison)
    with file.open("wb") as stream:  # given a name, numpy would append .npz where it is missing
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def explanation_record(model: GeoModel, explanation: Explanation, heatmaps: dict[str, Heatmap]) -> dict[str, Any]:
    """Return as plain data what was explained and how: the cell, the score, each heatmap's file and settings."""
    sums = {name: attribution_record(one.attribution) for name, one in heatmaps.items() if one.attribution}
    return {
        "target": target_record(model, explanation),
        "score": explanation.trace.score,
        "input_height_px": explanation.size_hw[0],
        "input_width_px": explanation.size_hw[1],
        "heatmaps": {
            name: {
                "file": f"{name}.png",
                "flat": heatmap.flat,
                "method": heatmap.method,
                "level": heatmap.level,
                "how": heatmap.how,
                "weights": list(heatmap.weights),
                **sums.get(name, {}),
            }
            for name, heatmap in heatmaps.items()
        },
        "map": "map.html",
    }


def target_in_words(model: GeoModel, explanation: Explanation) -> str:
    """Describe the explained cell or place with its probability: "cell 12: near Lyon, France, 62 %"."""
    group, share = explanation.trace.group, percent(explanation.share)
    if group is None:
        return f"cell {explanation.target}: {model.partition.labels[explanation.target]}, {share}"
    cells = counted(len(group.cells), "cell")
    return f"{group.label} ({cells}), {share}"


def describe(image: str, model: GeoModel, explanation: Explanation, heatmaps: dict[str, Heatmap]) -> str:
    """Describe an explanation: the predicted place, the explained cell, and each heatmap, or that it is flat."""
    sums = {name: completeness(one.attribution) for name, one in heatmaps.items() if one.attribution}
    prediction = explanation.prediction
    point = coordinates(prediction.lat_deg, prediction.lon_deg)
    lines = [
        f"{image}: {headline(model.trees, model.partition.labels, prediction)} ({point})",
        f"  explained    {target_in_words(model, explanation)}, by its {explanation.trace.score}",
    ]
    lines += [
        f"  {name:<12} {'flat: nothing in the image stands out' if heatmap.flat else sums.get(name) or _make(heatmap)}"
        for name, heatmap in heatmaps.items()
    ]
    return "\n".join(lines)


def _make(heatmap: Heatmap) -> str:
    used = [str(index) for index, weight in enumerate(heatmap.weights, 1) if weight > 0]
    which = ", ".join(used) if len(used) < len(heatmap.weights) else f"{used[0]}–{used[-1]}"
    return f"{heatmap.how} of {plural(len(used), heatmap.level)} {which}"
