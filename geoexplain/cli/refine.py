"""Options that refine an answer: the search among the photos of the top cell, and when an image is localizable."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from geoexplain.cli.arguments import complain, count, number
from geoexplain.errors import DataError
from geoexplain.locator.model import GeoModel, LocalizableRule
from geoexplain.locator.prediction import CROP_RULES
from geoexplain.locator.registry import open_search, unused_assignments
from geoexplain.locator.retrieval import EPS_KM, TOP_K, SearchWithinCell
from geoexplain.locator.zoo import gallery_of

NO_GALLERY = "none"

distance_km = number(float, 0, 20100, "a distance in km from 0 to 20100")
positive_km = number(float, 0.001, 20100, "a distance in km from 0.001 to 20100")
share = number(float, 0, 1, "a share from 0 to 1")


@dataclass(frozen=True)
class Refinement:
    """How an answer is refined: the search within the top cell (None: no search) and the rule for localizable."""

    search: SearchWithinCell | None
    rule: LocalizableRule


def add_crops(parser: argparse.ArgumentParser) -> None:
    """Whether a model sees an image whole, or five times in part."""
    parser.add_argument(
        "--crops",
        type=int,
        choices=(1, 5),
        default=1,
        help="the whole image, or its four corners and its centre (default: %(default)s)",
    )
    parser.add_argument(
        "--crop-rule",
        choices=CROP_RULES,
        default=CROP_RULES[0],
        help="how the probabilities of five crops become one (default: %(default)s)",
    )


def add_refinement(parser: argparse.ArgumentParser) -> None:
    """The options that refinement() reads: the gallery and its search, the scale and the threshold."""
    search = parser.add_argument_group(
        "Search within Cell",
        "the photos of the top cell that look most like the image say where in the cell it was taken",
    )
    search.add_argument(
        "--gallery",
        metavar="PATH|none",
        help="photos to search through, an .hdf5 file or a folder made by `geoexplain gallery build`; none: no search "
        "(default: the gallery registered with the model, if there is one)",
    )
    search.add_argument(
        "--top-k", type=count, metavar="N", help=f"how many of the most similar photos count (default: {TOP_K})"
    )
    search.add_argument(
        "--eps-km",
        type=positive_km,
        metavar="KM",
        help=f"photos no farther apart than this are of one cluster (default: {EPS_KM:g})",
    )
    rule = parser.add_argument_group(
        "localizable", "an image is localizable when the probability near its top cell exceeds the threshold"
    )
    rule.add_argument(
        "--scale-km", type=distance_km, metavar="KM", help="how far near reaches (default: the model's rule)"
    )
    rule.add_argument(
        "--threshold", type=share, metavar="SHARE", help="from 0 to 1, to be exceeded (default: the model's rule)"
    )


def refinement(args: argparse.Namespace, model: GeoModel, name: str | Path) -> Refinement:
    """The options checked against a model, which was loaded by `name`; the gallery is opened, not read.

    Raises DataError for a gallery that is none or belongs to another model, for a model that cannot search, and for
    settings of a search that does not take place.
    """
    scale_km = model.rule.scale_km if args.scale_km is None else args.scale_km
    threshold = model.rule.threshold if args.threshold is None else args.threshold
    rule = LocalizableRule(scale_km, threshold)
    file = gallery_file(args.gallery, name)
    if file is None:
        for option, value in (("--top-k", args.top_k), ("--eps-km", args.eps_km)):
            if value is not None:
                raise DataError(f"{option} sets up Search within Cell, which has no gallery: add --gallery PATH.")
        return Refinement(None, rule)
    top_k, eps_km = args.top_k or TOP_K, args.eps_km or EPS_KM
    if note := unused_assignments(str(name), file):
        complain(note)
    return Refinement(open_search(model, str(name), file, top_k=top_k, eps_km=eps_km), rule)


def gallery_file(given: str | None, name: str | Path) -> Path | None:
    """The gallery to search: the one given, otherwise the one registered with the model; None for none."""
    if given == NO_GALLERY:
        return None
    return gallery_of(str(name)) if given is None else Path(given)
