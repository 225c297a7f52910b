"""`geoexplain evaluate photos`: measure the error of a model on photos whose position is known."""

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from geoexplain.cli.arguments import add_model, chosen_model, count
from geoexplain.cli.evaluate_views import coverage_lines
from geoexplain.cli.image_set import names_text, run_resumable
from geoexplain.cli.refine import add_crops, add_refinement, refinement
from geoexplain.errors import DataError
from geoexplain.evaluation.figures import (
    RADII_KM,
    Figures,
    comparable,
    density_bins,
    photo_coverage,
    summary_of,
    table_of,
)
from geoexplain.evaluation.photos import BATCH, PhotoQuestion, evaluate_photos
from geoexplain.evaluation.plot import plot_error_by_density
from geoexplain.evaluation.published import PublishedFigures, published_figures, published_sets
from geoexplain.evaluation.record import (
    ANSWERS,
    SETTINGS,
    SUMMARY,
    TABLE,
    PhotoResult,
    read_settings,
    write_summary,
)
from geoexplain.photos import Manifest, read_manifest
from geoexplain.words import exact_km, exact_percent, kilometres, percent, printable_lines

PLOT = "error-by-density.png"

EPILOG = f"""\
The manifest is a table with a column of ids or paths (id, image, img_id, filename, path), one of latitudes and one of
longitudes, or an original metadata pickle (.pkl), whose ids are part of the names of the files.

A photo is within a radius when its great-circle error is below it (R = 6371 km). Only photos that could be read count;
the others are listed. With a gallery every figure is given with and without Search within Cell, from one network pass.
The true position should lie in the 50 % circle for half of the photos, and in the 90 % circle for nine in ten. The
circles are centred at the predicted point without a search; the probability is spread over the cells' areas.

--out receives {TABLE} (one row per photo), {SUMMARY}, {PLOT}, {SETTINGS} and {ANSWERS}. With the
last two, a run that was killed or interrupted continues with the same options and --resume, and ends with the same
files.

--published takes {", ".join(published_sets())}, or a CSV file with the columns
set, model, radius_km, accuracy_percent, source."""


def add_arguments(photos: argparse.ArgumentParser) -> None:
    """Add the options of `geoexplain evaluate photos`."""
    photos.description = "Locate photos with a model, and compare the predictions with the true positions."
    photos.epilog = EPILOG
    photos.add_argument(
        "--manifest", type=Path, required=True, metavar="FILE.csv|FILE.pkl", help="positions of the photos"
    )
    photos.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of the photos")
    add_model(photos)
    photos.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    add_crops(photos)
    add_refinement(photos)
    photos.add_argument(
        "--batch", type=count, default=BATCH, metavar="N", help="images per network pass (default: %(default)s)"
    )
    photos.add_argument("--workers", type=count, metavar="N", help="threads that decode photos (default: one per core)")
    photos.add_argument(
        "--f-and-fstar",
        action="store_true",
        help="evaluate a model with several partitionings both ways (see --hierarchy), into --out/f and --out/f-star",
    )
    photos.add_argument("--published", metavar="SET|FILE.csv", help="print published figures next to these")
    photos.add_argument("--resume", action="store_true", help="continue the evaluation in --out")
    photos.set_defaults(run=run)


WAYS = {"f": False, "f-star": True}
"""Folder in --out → whether a cell's probability is multiplied by those of the coarser cells that contain it."""


def run(args: argparse.Namespace) -> int:
    """Evaluate once, or both ways; return the exit code of the first way that failed, or 0."""
    if not args.f_and_fstar:
        return run_once(args)
    if args.hierarchy is not None:
        raise DataError("expected --f-and-fstar or --hierarchy, got both: leave one out.")
    chosen_model(argparse.Namespace(**{**vars(args), "hierarchy": True}))  # refuses a model with one partitioning
    code = 0
    for folder, hierarchical in WAYS.items():
        given = {**vars(args), "hierarchy": hierarchical, "out": args.out / folder}
        exit_code = run_once(argparse.Namespace(**given))
        code = code or exit_code
    return code


def run_once(args: argparse.Namespace) -> int:
    """Evaluate, write and print the results; return 1 when photos are missing or unreadable, 130 if interrupted."""
    published = [] if args.published is None else published_figures(args.published)
    manifest = read_manifest(args.manifest, args.images)
    model = chosen_model(args)
    refined = refinement(args, model, args.model)
    question = PhotoQuestion(refined.rule, refined.search, args.crops, args.crop_rule, args.batch)
    results = run_resumable(
        args.out,
        len(manifest.photos),
        "photos",
        lambda progress: evaluate_photos(
            model,
            manifest,
            args.images,
            question,
            args.out,
            workers=args.workers,
            resume=args.resume,
            progress=progress,
        ),
    )
    summary = summary_of(results, manifest, read_settings(args.out), published)
    write_summary(args.out, summary)
    way = {None: "", False: " (f)", True: " (f*)"}[args.hierarchy]
    title = f"{model.name}{way} on {args.manifest.name}: {summary['counts']['evaluated']:,} photos"
    plot_error_by_density(density_bins(results), title, question.rule.scale_km, args.out / PLOT)
    print(printable_lines(text_of(results, manifest, title, question, published)))
    return 1 if summary["counts"]["unreadable"] or manifest.missing else 0


def text_of(
    results: Sequence[PhotoResult],
    manifest: Manifest,
    title: str,
    question: PhotoQuestion,
    published: Sequence[PublishedFigures] = (),
) -> str:
    """Format the results: the figures, the photos that were left out, and the published figures for comparison."""
    table = table_of(results)
    crops = "one crop" if question.crops == 1 else f"five crops ({question.how})"
    rule = (
        f"localizable: density above {exact_percent(question.rule.threshold)} within {exact_km(question.rule.scale_km)}"
    )
    if any(result.in_domain is not None for result in results):
        rule += ", and of the kind that the model knows"
    lines = [f"{title}, {crops}; {rule}", figures_table(table), *coverage_lines(photo_coverage(results))]
    unreadable = [result.file or result.id for result in results if result.status == "unreadable"]
    for what, names in (
        ("unreadable", unreadable),
        ("missing (no file)", manifest.missing),
        ("unknown (files in no row)", manifest.unknown),
    ):
        if names:
            lines.append(f"  {what}: {len(names):,} ({names_text(names)})")
    if published:
        lines += ["", comparison(published, comparable(table))]
    return "\n".join(lines)


def figures_table(table: Mapping[str, Mapping[str, Figures]]) -> str:
    """Format the accuracy within each radius and the median error, one row per group."""
    lines = [f"  {'within':<28}" + "".join(f"{exact_km(r):>10}" for r in RADII_KM) + f"{'median':>13}"]
    for title, groups in table.items():
        lines.append(f"  {title}")
        for group, figures in groups.items():
            shares = "".join(f"{percent(share):>10}" for share in figures.accuracy_by_km.values())
            lines.append(f"    {f'{group} ({figures.photos:,})':<26}{shares}{kilometres(figures.median_error_km):>13}")
    return "\n".join(lines)


def comparison(published: Sequence[PublishedFigures], here: Figures) -> str:
    """Format published accuracies next to the measured ones, in percent, for every radius that a paper gives."""
    radii = sorted({radius for one in published for radius in one.accuracy_percent})
    width = max(len(one.model) for one in published) + 2
    lines = [f"  {'paper / here, %':<{width}}" + "".join(f"{exact_km(r):>14}" for r in radii)]
    for one in published:
        cells = []
        for radius in radii:
            paper, measured = one.accuracy_percent.get(radius), here.accuracy_by_km.get(radius, math.nan)
            cells.append(f"{'–' if paper is None else f'{paper:.1f}'} / {percent(measured).removesuffix(' %')}")
        lines.append(f"  {one.model:<{width}}" + "".join(f"{cell:>14}" for cell in cells) + f"   {one.source}")
    return "\n".join(lines)
