"""`geoexplain evaluate explanations`: how faithful every way of explaining is, beside maps that know nothing."""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence

from geoexplain.cli.arguments import count, printable
from geoexplain.cli.evaluate_photos import SUMMARY
from geoexplain.cli.image_set import (
    IMAGES,
    RESUMING,
    add_image_set,
    left_out,
    manned,
    settings_in,
    watched,
    write_summary,
)
from geoexplain.evaluation.explanations import (
    DEFAULT_EXPLANATIONS,
    EXPLANATIONS,
    Examination,
    ImageMeasures,
    evaluate_explanations,
)
from geoexplain.evaluation.plot_explanations import plot_scoreboard
from geoexplain.evaluation.record import TABLE
from geoexplain.evaluation.scoreboard import Cell, Scoreboard, Standing, scoreboard, standings, summary_of
from geoexplain.explainer.faithfulness import METRICS
from geoexplain.explainer.metrics import ROAD_STEPS, STEPS
from geoexplain.explainer.table import BASELINE, CAMS, TUNED, of_family, tuned_weights

PLOT = "methods-by-metrics.png"

EPILOG = f"""\
{IMAGES} Of each, the most probable
cell is explained. A method on its own is the map of its deepest stage.

Methods: {", ".join(name for name in of_family(*CAMS) if name != TUNED)};
of a model that has tuned weights beside it, as the bundled one, {TUNED}.
Baselines, which know nothing of the network: {", ".join(of_family(BASELINE))}.
Metrics: {", ".join(METRICS)}.

--out receives {TABLE} (one row per image and method), {SUMMARY} (means with 95 % intervals, who leads), {PLOT},
{RESUMING}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `geoexplain evaluate explanations`."""
    parser.description = "Hide what explanations mark, see what becomes of the probability, and compare the methods."
    parser.epilog = EPILOG
    add_image_set(parser, views=500)
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=EXPLANATIONS,
        default=list(DEFAULT_EXPLANATIONS),
        metavar="METHOD",
        help="methods and baselines (default: all but score-cam, which takes several times as long as any other, and "
        f"{TUNED})",
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
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate, write what was found and print it; 1 when images are left out, 130 if interrupted."""
    with manned(args) as (model, source, crew):
        examination = Examination(
            tuple(name for name in EXPLANATIONS if name in args.methods),
            tuple(name for name in METRICS if name in args.metrics),
            args.steps,
            args.road_steps,
            args.seed,
            tuned_weights(model) if TUNED in args.methods else None,
        )

        def ask(progress: Callable[[int, int], None]) -> tuple[ImageMeasures, ...]:
            return evaluate_explanations(
                model, source, examination, args.out, crew=crew, resume=args.resume, progress=progress
            )

        answers = watched(args, source, ask)
    code = write_summary(args.out, summary_of(answers, examination, settings_in(args.out)))
    title = f"{model.name} on {source.title}"
    board, stands = scoreboard(answers, examination), standings(answers, examination)
    plot_scoreboard(board, stands, examination, title, args.out / PLOT)
    print(printable(f"{title}\n{text_of(answers, examination)}"))
    return code


def text_of(answers: Sequence[ImageMeasures], examination: Examination) -> str:
    """What was found as text: methods × metrics, who leads, and what was left out."""
    board, stands = scoreboard(answers, examination), standings(answers, examination)
    arrows = ["↑" if METRICS[name].higher else "↓" for name in METRICS if name in examination.metrics]
    titles = [f"{arrow} {column}" for arrow, column in zip(arrows, examination.columns, strict=True)]
    width = max(len(name) for name in EXPLANATIONS) + 4
    lines = [f"  {'':<{width}}" + "".join(f"{title:>20}" for title in titles)]
    for method, row in board.items():
        name = f"({method})" if method in of_family(BASELINE) else method
        cells = [shown(cell, mark_of(method, stands[column])) for column, cell in row.items()]
        lines.append(f"  {name:<{width}}" + "".join(f"{cell:>20}" for cell in cells))
    lines += [
        "  mean ± half of the 95 % interval; (baselines); ↑ higher is better, ↓ lower",
        "  * better than every other method and baseline, image by image; = not told from the best mean",
        f"  better than every baseline: {beating_text(stands)}",
    ]
    lines += [*without_value(answers, board), *left_out(answers)]
    return "\n".join(lines)


def mark_of(method: str, stand: Standing) -> str:
    """What stands before a figure: * for the best method, = for those that share the lead, nothing for others."""
    if stand.best == method:
        return "*"
    return "=" if stand.best is None and method in stand.leading else ""


def beating_text(stands: Mapping[str, Standing]) -> str:
    """Which methods are better than every baseline, by which metrics."""
    found = [f"{column}: {', '.join(one.beating)}" for column, one in stands.items() if one.beating]
    return "; ".join(found) or "none, by any metric"


def without_value(answers: Sequence[ImageMeasures], board: Scoreboard) -> list[str]:
    """Lines on images that are not in all means."""
    lines = []
    readable = sum(answer.status == "ok" for answer in answers)
    for method, row in board.items():
        fewest = min(cell.images for cell in row.values())
        if fewest < readable:
            lines.append(f"  {method}: no value for {readable - fewest:,} of {readable:,} images; see {TABLE}")
    return lines


def shown(cell: Cell, mark: str) -> str:
    """A cell to read: "* 0.273 ± 0.021", a dash for what there is not."""
    if not cell.images:
        return "–"
    digits = 1 if abs(cell.mean) >= 10 else 3
    half = f"{(cell.high - cell.low) / 2:.{digits}f}" if math.isfinite(cell.low) else "–"
    return f"{mark} {cell.mean:.{digits}f} ± {half}".lstrip()
