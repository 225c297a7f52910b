"""`geoexplain evaluate concepts`: concept influence over a set of images, by the error of the prediction."""

import argparse
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from geoexplain.cli.arguments import count, number
from geoexplain.cli.concept_options import add_counting, add_segformer
from geoexplain.cli.image_set import IMAGES, RESUMING
from geoexplain.cli.questions import QuestionCommand
from geoexplain.errors import DataError
from geoexplain.evaluation.concept_sources import (
    PLACES,
    TRUTH,
    ConceptSource,
    LandCoverMasks,
    PaintedMasks,
    SegFormerMasks,
)
from geoexplain.evaluation.concepts import Study
from geoexplain.evaluation.methods import baseline_methods
from geoexplain.evaluation.record import SUMMARY, TABLE
from geoexplain.explainer.attribution import MOST_SAMPLES, MOST_STEPS, SAMPLES, STEPS
from geoexplain.explainer.concepts import (
    ERROR_BINS_KM,
    FEWEST_FOR_BOOTSTRAP,
    SMALLEST_COUNT,
    ConceptTable,
    Estimate,
)
from geoexplain.explainer.table import TUNED
from geoexplain.words import exact_km

PLOT = Study.PLOT
EDGES_KM = [ERROR_BINS_KM[0][0], *(high for _, high in ERROR_BINS_KM)]


def epilog() -> str:
    """Return the part of the help on images, methods and files."""
    return f"""\
Concept influence (Theiner et al., WACV 2022) is the share of an explanation's --k strongest pixels that lie on a
concept, divided by the share of the image that the concept covers. Above 1, the explanation marks the concept more than
its size alone would explain.

{IMAGES} The most probable
cell of each image is explained.

The concepts of views are their land cover: ocean, lake, land and coastline from the map, ice and snow, desert and
vegetation by colour; with --naturalearth also deserts, ranges, plateaus, plains, basins, deltas, wetlands, peninsulas,
islands, glaciers and urban areas from the files ne_50m_geography_regions_polys, ne_50m_glaciated_areas and
ne_50m_urban_areas of naturalearthdata.com (.zip, .shp or GeoJSON; 10m and 110m work, too). The concepts of photos are
painted (--masks has a/b.png, of the same size, for the photo a/b.jpg, and --legend names the colours), or found by
--segformer.

Methods: {", ".join(Study.known_methods())}.
Baselines, which do not depend on the network: {", ".join(baseline_methods())}.

--out receives {TABLE} (one row per image, method and concept in the image), {SUMMARY}, {PLOT},
{RESUMING} --bins and --smallest-count may change between."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this question."""
    where = parser.add_argument_group("which concepts")
    where.add_argument(
        "--at",
        choices=PLACES,
        default=TRUTH,
        help="position at which a view is placed on the map (default: %(default)s)",
    )
    where.add_argument("--naturalearth", type=Path, metavar="DIR", help="folder of Natural Earth files")
    where.add_argument("--masks", type=Path, metavar="DIR", help="folder of the concepts painted over the photos")
    where.add_argument("--legend", type=Path, metavar="FILE", help="meaning of the colours of --masks, as CSV or JSON")
    add_segformer(where)
    how = parser.add_argument_group("how it is counted")
    add_counting(how)
    how.add_argument(
        "--bins",
        nargs="+",
        type=number(float, 0, 21_000, "a distance from 0 to 21000 km"),
        default=EDGES_KM,
        metavar="KM",
        help="edges of the bins of the prediction's error (default: the paper's, "
        f"{' '.join(f'{edge:g}' for edge in EDGES_KM)})",
    )
    how.add_argument(
        "--smallest-count",
        type=count,
        default=SMALLEST_COUNT,
        metavar="N",
        help="minimum number of images with a concept for a figure in a bin (default: %(default)s)",
    )
    for name, most, usual, what in (
        ("--steps", MOST_STEPS, STEPS, "points on the path of an attribution"),
        ("--samples", MOST_SAMPLES, SAMPLES, "noisy copies of smoothgrad-squared"),
    ):
        kind = number(int, 1, most, f"a whole number from 1 to {most}")
        how.add_argument(name, type=kind, default=usual, metavar="N", help=f"{what} (default: %(default)s)")


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return these options as settings of a Study. Raises DataError when a file that they name does not exist."""
    bins, concepts = bins_of(args.bins), concept_source(args)
    concepts.settings()
    return {
        "concepts": concepts,
        "k": args.k,
        "smallest_share": args.smallest_share,
        "dilation_px": args.dilate,
        "steps": args.steps,
        "samples": args.samples,
        "bins_km": bins,
        "smallest_count": args.smallest_count,
    }


def bins_of(edges: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """Return the bins between edges in km. Raises DataError for fewer than two edges, or edges that do not increase."""
    if len(edges) < 2 or any(low >= high for low, high in pairwise(edges)):
        raise DataError(f"--bins: expected at least two increasing distances, got {' '.join(f'{e:g}' for e in edges)}.")
    return tuple(pairwise(edges))


def concept_source(args: argparse.Namespace) -> ConceptSource:
    """Return the source of the images' concepts. Raises DataError for options that cannot be combined."""
    if (args.masks is None) != (args.legend is None):
        one, other = ("--legend", "--masks") if args.masks is None else ("--masks", "--legend")
        raise DataError(f"expected --masks and --legend together, got {one} alone: add {other}.")
    if args.masks is not None and args.segformer is not None:
        raise DataError("expected one source of concepts, got --masks and --segformer: choose one of them.")
    if args.allow_download and args.segformer is None:
        raise DataError("--allow-download: expected --segformer with it, got none: add --segformer.")
    if args.manifest is None:
        if args.masks is not None or args.segformer is not None:
            option = "--segformer" if args.masks is None else "--masks"
            raise DataError(f"{option}: expected the photos of a --manifest, got --imagery: leave {option} out.")
        folder = args.naturalearth
        # A worker may run in another folder.
        return LandCoverMasks(args.at, None if folder is None else folder.absolute())
    if args.naturalearth is not None or args.at != TRUTH:
        option = "--at" if args.naturalearth is None else "--naturalearth"
        raise DataError(f"{option}: expected the views of --imagery, got a --manifest: leave {option} out.")
    if args.segformer is not None:
        local = Path(args.segformer)
        return SegFormerMasks(str(local.absolute()) if local.is_dir() else args.segformer, args.allow_download)
    if args.masks is None:
        raise DataError("--manifest: expected concepts, got none: add --masks and --legend, or --segformer.")
    if args.images is None:
        raise DataError("expected --manifest and --images together, got --manifest alone: add --images.")
    return PaintedMasks(args.masks.absolute(), args.legend.absolute(), args.images.absolute())


def lines_of(study: Study, tables: Mapping[str, ConceptTable]) -> list[str]:
    """Format the results as lines: for every method a table of concepts × bins, median and mean with intervals."""
    first = next(iter(tables.values()))
    counts = [
        f"{low:,g} to {exact_km(high)}: {n:,}" for (low, high), n in zip(study.bins_km, first.images, strict=True)
    ]
    lines = [f"  images by error: {'; '.join(counts)}; in no bin: {first.outside:,}"]
    width = max([10, *(len(row.concept) for table in tables.values() for row in table.rows)]) + 2
    for method, table in tables.items():
        lines.append(f"  {f'({method})' if method in baseline_methods() else method}")
        lines.append(f"    {'concept':<{width}}{'error, km':<14}{'images':>7}{'median':>22}{'mean':>22}")
        named = ""
        for row in table.rows:
            name, named = "" if row.concept == named else row.concept, row.concept
            span = f"{row.low_km:g} to {row.high_km:g}"
            cells = f"{estimate_text(row.median):>22}{estimate_text(row.mean):>22}"
            lines.append(f"    {name:<{width}}{span:<14}{row.images:>7,}{cells}")
        if not table.rows:
            lines.append("    no concept counts in any image")
    lines.append(
        "  concept influence [95 % bootstrap interval]: above 1, the explanation marks the concept more than its size "
        f"alone would explain; – where fewer than {study.smallest_count:,} images have the concept, [too few] without "
        f"an interval where fewer than {FEWEST_FOR_BOOTSTRAP} have it"
    )
    return lines


def estimate_text(estimate: Estimate | None) -> str:
    """Format an estimate: "0.53 [0.50, 0.56]", "0.53 [too few]" without an interval, a dash for None."""
    if estimate is None:
        return "–"
    if math.isnan(estimate.low):
        return f"{estimate.value:.2f} [too few]"
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


COMMAND = QuestionCommand(
    Study,
    summary="which concepts the explanations mark: coasts, ice, towers",
    description="Measure which concepts the explanations mark, such as coasts or ice, also by prediction error.",
    epilog=epilog,
    views=1000,
    methods=f"methods and baselines (default: those that one pass gives of every model, without {TUNED})",
    lines=lines_of,
    add_options=add_options,
    settings=settings,
)
