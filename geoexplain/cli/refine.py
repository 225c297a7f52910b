"""Options that refine an answer: the search among the photos of the top cell, and when an image is localizable."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch

from geoexplain.cli.arguments import count, number
from geoexplain.errors import DataError
from geoexplain.locator.gallery import is_hdf5, open_gallery
from geoexplain.locator.gallery_hdf5 import open_hdf5
from geoexplain.locator.model import GeoModel, LocalizableRule
from geoexplain.locator.retrieval import SearchWithinCell
from geoexplain.locator.zoo import assignments_of, gallery_of

TOP_K = 10
EPS_KM = 1.0
"""What the published model was evaluated with (Kordopatis-Zilos et al., ICMR 2021)."""

NO_GALLERY = "none"

distance_km = number(float, 0, 20100, "a distance in km from 0 to 20100")
positive_km = number(float, 0.001, 20100, "a distance in km from 0.001 to 20100")
share = number(float, 0, 1, "a share from 0 to 1")


@dataclass(frozen=True)
class Refinement:
    """How an answer is refined: the search within the top cell (None: no search) and the rule for localizable."""

    search: SearchWithinCell | None
    rule: LocalizableRule


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
    return Refinement(search_through(file, model, name, top_k=top_k, eps_km=eps_km), rule)


def gallery_file(given: str | None, name: str | Path) -> Path | None:
    """The gallery to search: the one given, otherwise the one registered with the model; None for none."""
    if given == NO_GALLERY:
        return None
    return gallery_of(str(name)) if given is None else Path(given)


def search_through(
    file: Path, model: GeoModel, name: str | Path, *, top_k: int = TOP_K, eps_km: float = EPS_KM
) -> SearchWithinCell:
    """Search within Cell of a model, loaded by `name`, through the gallery in a file or folder.

    Which photos of a file lie in which cell, the assignments added with the model say, if they are of as many photos;
    otherwise a photo lies in the cell whose centre is nearest. Raises DataError when gallery and model do not fit.
    """
    assignments = assignments_of(str(name), len(open_hdf5(file))) if is_hdf5(file) else None
    gallery = open_gallery(file, model.partition, assignments)
    length = model.embedding(torch.zeros(1, model.backbone.feature_dim)).shape[1]
    if gallery.dim != length or gallery.model not in {None, model.name}:
        raise DataError(
            f"gallery {file}: expected embeddings of {length} numbers by {model.name}, got {gallery.dim} by "
            f"{gallery.model or 'a model it does not name'}: build one with this model, or choose the other --model."
        )
    return SearchWithinCell(gallery, top_k, eps_km)
