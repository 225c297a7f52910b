"""`geoexplain evaluate explanations`: how faithful every method is, compared with baselines."""

import argparse
import math
from collections.abc import Mapping
from typing import Any

from geoexplain.cli.arguments import count
from geoexplain.cli.image_set import IMAGES, RESUMING
from geoexplain.cli.questions import QuestionCommand
from geoexplain.evaluation.explanations import Examination
from geoexplain.evaluation.methods import baseline_methods, untuned_methods
from geoexplain.evaluation.record import SUMMARY, TABLE
from geoexplain.evaluation.scoreboard import Cell, Scores, Standing
from geoexplain.explainer.faithfulness import METRICS
from geoexplain.explainer.metrics import ROAD_STEPS, STEPS
from geoexplain.explainer.table import TUNED

PLOT = Examination.PLOT


def epilog() -> str:
    """Return the part of the help on images, methods and files."""
    return f"""\
{IMAGES} The most probable
cell of each image is explained. A method on its own is the map of its deepest stage.

Methods: {", ".join(untuned_methods())}; for a model with tuned weights, such as the bundled one, also {TUNED}.
Baselines, which do not depend on the network: {", ".join(baseline_methods())}.
Metrics: {", ".join(METRICS)}.

--out receives {TABLE} (one row per image and method), {SUMMARY} (means with 95 % intervals, who leads), {PLOT},
{RESUMING}"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this question."""
    parser.add_argument(
        "--metrics",
        nargs="+",
        choices=tuple(METRICS),
        default=list(METRICS),
        metavar="METRIC",
        help="metrics to measure (default: all)",
    )
    parser.add_argument(
        "--steps", type=count, default=STEPS, metavar="N", help="steps of deletion and insertion (default: %(default)s)"
    )
    parser.add_argument(
        "--road-steps", type=count, default=ROAD_STEPS, metavar="N", help="steps of ROAD (default: %(default)s)"
    )


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return these options as settings of an Examination."""
    metrics = tuple(name for name in METRICS if name in args.metrics)
    return {"metrics": metrics, "steps": args.steps, "road_steps": args.road_steps}


def lines_of(_examination: Examination, scores: Scores) -> list[str]:
    """Format the results as lines: methods × metrics, the leading methods, and the methods with missing values."""
    titles = [f"{'↑' if higher else '↓'} {column}" for column, higher in scores.higher_is_better.items()]
    width = max(len(name) for name in Examination.known_methods()) + 4
    lines = [f"  {'':<{width}}" + "".join(f"{title:>20}" for title in titles)]
    for method, row in scores.board.items():
        name = f"({method})" if method in baseline_methods() else method
        cells = [cell_text(cell, mark_of(method, scores.standings[column])) for column, cell in row.items()]
        lines.append(f"  {name:<{width}}" + "".join(f"{cell:>20}" for cell in cells))
    lines += [
        "  mean ± half of the 95 % interval; (baselines); ↑ higher is better, ↓ lower",
        "  * better than every other method and baseline, image by image; = not distinguishable from the best mean",
        f"  better than every baseline: {beating_text(scores.standings)}",
    ]
    return lines + lines_without_value(scores)


def mark_of(method: str, stand: Standing) -> str:
    """Return the mark before a figure: * for the best method, = for those that share the lead, otherwise nothing."""
    if stand.best == method:
        return "*"
    return "=" if stand.best is None and method in stand.leading else ""


def beating_text(stands: Mapping[str, Standing]) -> str:
    """List the methods that are better than every baseline, by metric."""
    by_metric = [f"{column}: {', '.join(one.beating)}" for column, one in stands.items() if one.beating]
    return "; ".join(by_metric) or "none, by any metric"


def lines_without_value(scores: Scores) -> list[str]:
    """Return a line for each method whose means leave out images without a value."""
    lines = []
    for method, row in scores.board.items():
        fewest = min(cell.images for cell in row.values())
        if fewest < scores.images:
            without = scores.images - fewest
            lines.append(f"  {method}: no value for {without:,} of {scores.images:,} images; see {TABLE}")
    return lines


def cell_text(cell: Cell, mark: str) -> str:
    """A cell to read: "* 0.273 ± 0.021", a dash for what there is not."""
    if not cell.images:
        return "–"
    digits = 1 if abs(cell.mean) >= 10 else 3
    half = f"{(cell.high - cell.low) / 2:.{digits}f}" if math.isfinite(cell.low) else "–"
    return f"{mark} {cell.mean:.{digits}f} ± {half}".lstrip()


COMMAND = QuestionCommand(
    Examination,
    summary="how faithful the explanations are, compared with baselines",
    description="Hide what the explanations mark, measure how the probability changes, and compare the methods.",
    epilog=epilog,
    views=500,
    methods="methods and baselines (default: all but score-cam, which takes several times as long as any other, and "
    f"{TUNED})",
    lines=lines_of,
    add_options=add_options,
    settings=settings,
)
