"""Options that refine an answer: crops, Search within Cell, and the rule for localizable images."""

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
    """The search within the top cell (None: no search) and the rule for localizable images."""

    search: SearchWithinCell | None
    rule: LocalizableRule


def add_crops(parser: argparse.ArgumentParser) -> None:
    """Add the options for running a model on the whole image or on five crops."""
    parser.add_argument(
        "--crops",
        type=int,
        choices=(1, 5),
        default=1,
        help="1: the whole image; 5: its four corners and its centre (default: %(default)s)",
    )
    parser.add_argument(
        "--crop-rule",
        choices=CROP_RULES,
        default=CROP_RULES[0],
        help="how the probabilities of five crops are combined (default: %(default)s)",
    )


def add_refinement(parser: argparse.ArgumentParser) -> None:
    """Add the options that refinement() reads: the gallery and its search, the scale and the threshold."""
    search = parser.add_argument_group(
        "Search within Cell",
        "refine the position within the top cell by the gallery photos that look most like the image",
    )
    search.add_argument(
        "--gallery",
        metavar="PATH|none",
        help="gallery to search: an .hdf5 file or a folder made by `geoexplain gallery build`; none: no search "
        "(default: the gallery registered with the model, if any)",
    )
    search.add_argument(
        "--top-k", type=count, metavar="N", help=f"number of most similar photos to use (default: {TOP_K})"
    )
    search.add_argument(
        "--eps-km",
        type=positive_km,
        metavar="KM",
        help=f"photos no farther apart than this form one cluster (default: {EPS_KM:g})",
    )
    rule = parser.add_argument_group(
        "localizable", "an image is localizable when the probability near its top cell exceeds the threshold"
    )
    rule.add_argument(
        "--scale-km", type=distance_km, metavar="KM", help="radius that counts as near (default: the model's rule)"
    )
    rule.add_argument(
        "--threshold",
        type=share,
        metavar="SHARE",
        help="probability to exceed, from 0 to 1 (default: the model's rule)",
    )


def refinement(args: argparse.Namespace, model: GeoModel, name: str | Path) -> Refinement:
    """Check the options against a model, which was loaded by `name`, and open the gallery without reading it.

    Raises DataError for an invalid gallery or one of another model, for a model that cannot search, and for settings of
    a search without a gallery.
    """
    scale_km = model.rule.scale_km if args.scale_km is None else args.scale_km
    threshold = model.rule.threshold if args.threshold is None else args.threshold
    rule = LocalizableRule(scale_km, threshold)
    file = gallery_file(args.gallery, name)
    if file is None:
        for option, value in (("--top-k", args.top_k), ("--eps-km", args.eps_km)):
            if value is not None:
                raise DataError(f"{option}: expected a gallery for Search within Cell, got none: add --gallery PATH.")
        return Refinement(None, rule)
    top_k, eps_km = args.top_k or TOP_K, args.eps_km or EPS_KM
    if note := unused_assignments(str(name), file):
        complain(note)
    return Refinement(open_search(model, str(name), file, top_k=top_k, eps_km=eps_km), rule)


def gallery_file(given: str | None, name: str | Path) -> Path | None:
    """Return the gallery to search: the given one, otherwise the one registered with the model; None without one."""
    if given == NO_GALLERY:
        return None
    return gallery_of(str(name)) if given is None else Path(given)
