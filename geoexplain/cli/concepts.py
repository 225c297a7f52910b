"""`geoexplain concepts`: measure which concepts in an image an explanation marks."""

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from geoexplain.cli.arguments import add_model, chosen_model
from geoexplain.cli.attribute import attribution_record, completeness, drawn, shown
from geoexplain.cli.batch import Answer, answer_each, describe_doubt
from geoexplain.cli.concept_options import add_counting, add_segformer
from geoexplain.cli.explain import make_folder
from geoexplain.cli.position import parse_position
from geoexplain.cli.recipe import parse_target
from geoexplain.errors import DataError
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.concept_chance import beyond_chance, chance_ranges
from geoexplain.explainer.concepts import (
    ConceptInfluence,
    Influence,
    concept_influence,
    dilate,
)
from geoexplain.explainer.explanation import Explanation, explain, target_cell
from geoexplain.explainer.labeled_mask import read_labeled_mask
from geoexplain.explainer.natural_concepts import natural_concepts
from geoexplain.explainer.segformer import load_segformer
from geoexplain.explainer.segmenters import LandCover, Masks, Segmenter
from geoexplain.explainer.table import canonical_name, explanation_kind, network_kinds
from geoexplain.geography.footprint import Footprint
from geoexplain.images import open_image
from geoexplain.locator.model import GeoModel
from geoexplain.locator.zoo import BUNDLED
from geoexplain.view.export import cell_record
from geoexplain.view.influence import counted, enlarged, mask_picture, save_chart, top_picture
from geoexplain.view.overlay import overlay
from geoexplain.view.place_path import headline
from geoexplain.words import coordinates, exact_km, percent

LANDCOVER, MASK, SEGFORMER = SEGMENTERS = ("landcover", "mask", "segformer")
DEFAULT_METHOD = "integrated-gradients"

Chance = Mapping[str, tuple[float, float]]
"""Concept → the range of its influence that chance alone explains."""

EPILOG = """\
Concept influence (Theiner et al., WACV 2022) is the share of the explanation's strongest pixels that lie on a concept,
divided by the share of the image that the concept covers. Above 1, the explanation marks the concept more than its size
alone would explain; below 1, less. A concept that covers little of the image is ignored. The strongest pixels of a
coarse map form one or two spots, which lie on some concept by chance. The table therefore also gives the influence that
the same spots reach at random places, and says "more" or "fewer" only beyond that range.

Sources of concepts, --segmenter:
  landcover  for views from above: water, land, coastline, ice and snow, desert and vegetation, by rules of colour; with
             --position, ocean and lakes from the map, and with --naturalearth also deserts, ranges, deltas, glaciers,
             urban areas and more, from the files ne_50m_geography_regions_polys, ne_50m_glaciated_areas and
             ne_50m_urban_areas of naturalearthdata.com
  mask       a PNG of the image's size with painted concepts, and a --legend: CSV with the columns color (#rrggbb) and
             name, or JSON {"#rrggbb": "name"}
  segformer  a SegFormer trained on ADE20K or a similar data set, for photos: pip install "geoexplain[segformer]"

Explanations, --method: METHODS.
The paper uses smoothgrad-squared, which takes 500 passes of the network.

--out DIR receives concepts.json (the record of --json), influence.png (bars around 1), top.png (the strongest pixels),
explanation.png (the heatmap) and mask-<number>-<concept>.png for every concept in the image."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `geoexplain concepts`."""
    parser.description = "Measure which concepts in an image an explanation marks: the coast, the ice, a tower?"
    parser.epilog = EPILOG.replace("METHODS", ", ".join(network_kinds()))
    parser.add_argument("image", metavar="IMAGE", help="JPEG, PNG, WebP, GIF or AVIF file")
    add_model(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the record and pictures")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    what = parser.add_argument_group("which explanation")
    what.add_argument(
        "--method",
        type=canonical_name,
        choices=tuple(network_kinds()),
        default=DEFAULT_METHOD,
        metavar="METHOD",
        help="default: %(default)s",
    )
    what.add_argument(
        "--target",
        type=parse_target,
        metavar="CELL|LAT,LON",
        help="the cell to explain, by its number or by a place in it (default: the most probable one)",
    )
    where = parser.add_argument_group("which concepts")
    where.add_argument(
        "--segmenter",
        choices=SEGMENTERS,
        help=f"default: the one that --mask or --segformer implies, otherwise {LANDCOVER} with the model {BUNDLED}",
    )
    where.add_argument(
        "--position",
        type=parse_position,
        metavar="LAT,LON,WIDTH_KM[,ROTATION]",
        help="area that the image covers: its centre, its width, and the bearing of its upper edge in degrees; "
        "predicted,WIDTH_KM takes the predicted point as the centre (default: unknown; concepts by colour alone)",
    )
    where.add_argument(
        "--naturalearth", type=Path, metavar="DIR", help="folder of Natural Earth files, for views with --position"
    )
    where.add_argument("--mask", type=Path, metavar="FILE.png", help="picture of the concepts, painted over the image")
    where.add_argument("--legend", type=Path, metavar="FILE", help="meaning of the colours of --mask, as CSV or JSON")
    add_segformer(where)
    add_counting(parser.add_argument_group("how it is counted"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure the concept influence and print it; return 1 when the image or its mask cannot be used."""
    kind = chosen_segmenter(args)
    model = chosen_model(args)
    target = target_cell(model, args.target)
    if target is not None and not 0 <= target < len(model.partition):
        raise DataError(f"--target: expected a cell from 0 to {len(model.partition) - 1}, got {target}.")
    segmenter = segmenter_for(args, kind, model)
    if args.out:
        make_folder(args.out)

    def answer(image: str, _name: str) -> Answer:
        picture = open_image(image)
        find = segmenter(picture)  # before the slow part: a mask may not fit the image
        explanation = explain(picture, model, target=target)
        predicted = explanation.prediction.lat_deg, explanation.prediction.lon_deg
        position = args.position and args.position.of_view(predicted, picture, model.preprocess)
        masks = find(model.preprocess.view(picture), position)
        heatmap, title = drawn(explanation, model, args.method), explanation_kind(args.method).title
        influence = concept_influence(
            heatmap.values, masks, k=args.k, smallest_share=args.smallest_share, dilation_px=args.dilate
        )
        chance = chance_ranges(influence, masks, dilation_px=args.dilate)
        record = {"image": image, "model": model.name, **record_of(args, kind, explanation, model, position)}
        record |= {"dilation_px": args.dilate, **result_of(heatmap, influence, chance)}
        lines = describe(image, model, explanation, heatmap, title)
        lines += [f"  concepts     {source_of(kind, position)}", *table_of(influence, chance)]
        if args.out:
            write_pictures(args.out, explanation, model, heatmap, title=title, influence=influence, chance=chance)
            write_masks(args.out, explanation, model, {name: dilate(mask, args.dilate) for name, mask in masks.items()})
            (args.out / "concepts.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
            lines.append(f"  files in {args.out}")
        return Answer(record, "\n".join(lines))

    return answer_each([args.image], answer, as_json=args.json)


def chosen_segmenter(args: argparse.Namespace) -> str:
    """Return the one of SEGMENTERS that the options name or imply.

    Raises DataError for options that cannot be combined.
    """
    given = {MASK: args.mask is not None, SEGFORMER: args.segformer is not None}
    implied = [kind for kind, there in given.items() if there]
    if not implied and args.segmenter is None and args.model != BUNDLED:
        raise DataError(
            f"expected --segmenter for a model other than {BUNDLED}, got none: choose {LANDCOVER} for views from "
            "above, or give --mask or --segformer."
        )
    kind = args.segmenter or (implied or [LANDCOVER])[0]
    if len(implied) > 1 or any(one != kind for one in implied):
        raise DataError(f"expected one source of concepts, got --{implied[-1]} with {kind}: choose one of them.")
    if kind in given and not given[kind]:
        raise DataError(f"--segmenter {kind}: expected --{kind} with it, got none: add --{kind}.")
    if (args.legend is None) == given[MASK]:
        one, other = ("--legend", "--mask") if args.mask is None else ("--mask", "--legend")
        raise DataError(f"expected --mask and --legend together, got {one} alone: add {other}.")
    if args.allow_download and kind != SEGFORMER:
        raise DataError("--allow-download: expected --segformer with it, got none: add --segformer.")
    if args.position and kind != LANDCOVER:
        raise DataError(f"--position: expected --segmenter {LANDCOVER}, got {kind}: leave --position out.")
    if args.naturalearth and not args.position:
        raise DataError("--naturalearth: expected --position with it, got none: add --position.")
    return kind


def segmenter_for(args: argparse.Namespace, kind: str, model: GeoModel) -> Callable[[Image.Image], Segmenter]:
    """Return a function from a picture to its segmenter."""
    if kind == MASK:
        return lambda picture: read_labeled_mask(args.mask, args.legend, picture, model.preprocess)
    if kind == LANDCOVER:
        land: Segmenter = LandCover() if args.naturalearth is None else natural_concepts(args.naturalearth)
        return lambda _picture: land
    segformer = load_segformer(args.segformer, allow_download=args.allow_download, device=model.device)
    return lambda _picture: segformer


def record_of(
    args: argparse.Namespace, kind: str, explanation: Explanation, model: GeoModel, position: Footprint | None
) -> dict[str, Any]:
    """Return the request and the prediction as plain data."""
    return {
        "in_domain": explanation.prediction.in_domain,
        "domain_score": explanation.prediction.domain_score,
        "target": cell_record(model, explanation.prediction, explanation.target),
        "score": explanation.trace.score,
        "method": args.method,
        "segmenter": kind,
        "position": None if position is None else asdict(position),
        "smallest_share": args.smallest_share,
    }


def result_of(heatmap: Heatmap, influence: Influence, chance: Chance) -> dict[str, Any]:
    """Return the influence as plain data; a missing ci is null, and so is a missing range of chance."""
    return {
        "k": int(influence.top.sum()),
        "flat": influence.flat,
        "tied": influence.tied,
        **(attribution_record(heatmap.attribution) if heatmap.attribution else {}),
        "concepts": [asdict(one) | {"chance": chance.get(one.concept)} for one in influence.concepts],
    }


def describe(image: str, model: GeoModel, explanation: Explanation, heatmap: Heatmap, title: str) -> list[str]:
    """Describe the predicted place, the explained cell and the explanation, whose title is `title`."""
    prediction, target = explanation.prediction, explanation.target
    share = percent(prediction.probabilities[target])
    how = f"{title}, {completeness(heatmap.attribution)}" if heatmap.attribution else title
    place = headline(model.trees, model.partition.labels, prediction)
    return [
        *describe_doubt(image, model, prediction),
        f"{image}: {place} ({coordinates(prediction.lat_deg, prediction.lon_deg)})",
        f"  explained    cell {target}: {model.partition.labels[target]}, {share}, by its {explanation.trace.score}",
        f"  explanation  {how}",
    ]


def source_of(kind: str, position: Footprint | None) -> str:
    """Describe where the concepts come from."""
    if kind == MASK:
        return "as painted"
    if kind == SEGFORMER:
        return "found by SegFormer"
    if position is None:
        return "land cover by colour alone; --position distinguishes ocean from lake"
    place = coordinates(position.lat_deg, position.lon_deg)
    return f"land cover by colour, and by the map at {place}, {exact_km(position.width_km)} wide"


def table_of(influence: Influence, chance: Chance) -> list[str]:
    """Format the concepts as lines: those that count, most influential first, then the ignored ones with the reason."""
    size, k = influence.top.size, int(influence.top.sum())
    lines = [f"  top pixels   {k:,} of {size:,}, {percent(k / size)}"]
    if influence.tied and not influence.flat:
        lines.append(f"               {influence.tied:,} of them chosen by position among equally strong pixels")
    width = max([12, *(len(one.concept) for one in influence.concepts)])
    lines.append(f"  {'':<{width}}  {'of the image':>12}  {'of the top':>10}  {'influence':>9}  {'by chance':>12}")
    rows = counted(influence.concepts)
    lines += [_row(one, width, chance.get(one.concept)) for one in rows]
    if not rows:
        lines.append("  no concept covers enough of the image to count")
    absent = [one.concept for one in influence.concepts if not one.share]
    rest = [one for one in influence.concepts if one.ignored and one.share]
    lines += [f"  {one.concept:<{width}}  {percent(one.share):>12}  ignored: {one.ignored}" for one in rest]
    lines += [f"  not in the image: {', '.join(absent)}"] if absent else []
    lines.append("  influence: above 1, the explanation marks the concept more than its size alone would explain")
    if rows:
        lines.append("  by chance: the range that such spots reach for all concepts at once, at 95 % of random places")
    return lines


def _row(one: ConceptInfluence, width: int, chance: tuple[float, float] | None) -> str:
    assert one.tki is not None
    assert one.ci is not None
    span = "–" if chance is None else f"{chance[0]:.2f} to {chance[1]:.2f}"
    words = f"  {beyond_chance(one, chance)}".rstrip()
    return (
        f"  {one.concept:<{width}}  {percent(one.share):>12}  {percent(one.tki):>10}  {one.ci:>9.2f}  {span:>12}{words}"
    )


def write_pictures(
    folder: Path,
    explanation: Explanation,
    model: GeoModel,
    heatmap: Heatmap,
    *,
    title: str,
    influence: Influence,
    chance: Chance,
) -> None:
    """Write the chart, the strongest pixels and the heatmap."""
    picture = enlarged(explanation.image, model.preprocess)
    title = f"{title}, cell {explanation.target}: {model.partition.labels[explanation.target]}"
    save_chart(folder / "influence.png", influence.concepts, title, chance)
    top_picture(picture, influence.top).save(folder / "top.png")
    overlay(picture, shown(heatmap)).save(folder / "explanation.png")


def write_masks(folder: Path, explanation: Explanation, model: GeoModel, masks: Masks) -> None:
    """Write a picture of every mask that is not empty."""
    picture = enlarged(explanation.image, model.preprocess)
    for name, mask in zip(mask_files(list(masks)), masks.values(), strict=True):
        if mask.any():
            mask_picture(picture, mask).save(folder / name)


def mask_files(concepts: Sequence[str]) -> list[str]:
    """Return a safe file name for each concept, whatever characters its name has."""
    words = [re.sub(r"[^a-z0-9]+", "-", concept.lower()).strip("-")[:40] or "concept" for concept in concepts]
    return [f"mask-{n}-{word}.png" for n, word in enumerate(words, 1)]
