"""`geoexplain evaluate sanity`: test over a set of images whether explanations depend on the learned weights."""

import argparse
import math
from collections.abc import Mapping
from typing import Any

from geoexplain.cli.arguments import count
from geoexplain.cli.image_set import IMAGES, RESUMING
from geoexplain.cli.questions import QuestionCommand
from geoexplain.evaluation.record import SUMMARY, TABLE
from geoexplain.evaluation.sanity import DRAWS, Randomisation
from geoexplain.evaluation.sanity_tables import SetSanity
from geoexplain.explainer.intervals import FEWEST
from geoexplain.explainer.sanity_verdict import DEPENDS_BELOW, SURVIVES_ABOVE, two_decimals_text
from geoexplain.explainer.table import TUNED
from geoexplain.words import counted

PLOT = Randomisation.PLOT


def epilog() -> str:
    """Return the part of the help on images, methods and files."""
    return f"""\
The weights of copies of the network are drawn at random, first those of the head, then also those of the last
convolution, and so on to the stem. Every explanation is drawn again for the same cell, the most probable one of the
trained network. A map that resembles the original although the weights are random does not show what was learned.

{IMAGES}

Methods: {", ".join(name for name in Randomisation.known_methods() if name != TUNED)};
for a model with tuned weights, such as the bundled one, also {TUNED}.

The resemblance of a map to the original is the |rank correlation| beyond that of unrelated maps which are as coarse:
0 is the chance level, 1 the same map. It is averaged over the images with all weights random. A method depends on the
weights when the 95 % interval of this mean lies below {DEPENDS_BELOW:g}; it survives when the interval lies above
{SURVIVES_ABOVE:g}, and survives partly when it lies in between. Otherwise, or with fewer than {FEWEST} images, there
are too few images, and the verdict says how many more should suffice.

--out receives {TABLE} (one row per image, method and step), {SUMMARY} (means with intervals, verdicts),
{PLOT}, {RESUMING}"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this question."""
    parser.add_argument(
        "--draws",
        type=count,
        default=DRAWS,
        metavar="D",
        help="random networks for each image (default: %(default)s)",
    )


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return these options as settings of a Randomisation."""
    return {"draws": args.draws}


def heading(randomisation: Randomisation) -> str:
    """Return the number of draws of the weights, for the title."""
    return f", {counted(randomisation.draws, 'draw')} of the weights"


def lines_of(_randomisation: Randomisation, results: Mapping[str, SetSanity]) -> list[str]:
    """Format the results as lines: resemblances by step, the verdict of each method, and its verdicts by image."""
    if not results:
        return ["  no image could be examined"]
    width = max(len(name) for name in results) + 2
    steps = next(iter(results.values())).steps
    columns = [max(len(step) + 2, 8) for step in steps]
    heads = "".join(f"{step:>{w}}" for step, w in zip(steps, columns, strict=True))
    lines = [f"  {'':<{width}}{heads}  [95 %]"]
    for name, one in results.items():
        values = ["–" if math.isnan(value) else two_decimals_text(value) for value in one.resemblances]
        cells = "".join(f"{value:>{w}}" for value, w in zip(values, columns, strict=True))
        lines.append(f"  {name:<{width}}{cells}  {span_of(one)}")
    lines.append(
        "  mean resemblance to the map of the trained network (0: as unrelated maps, 1: the same map), by the part "
        "that was drawn last; and the interval over images when all weights are random"
    )
    for one in results.values():
        alone = ", ".join(f"{verdict} {images:,}" for verdict, images in one.verdicts.items())
        lines += [f"  {one.sentence}", f"    image by image: {alone}"]
    return lines


def span_of(one: SetSanity) -> str:
    """Format the interval of the resemblance with all weights random: "[−0.03, 0.15]", a dash where there is none."""
    low, high = one.intervals[-1]
    return f"[{two_decimals_text(low)}, {two_decimals_text(high)}]" if math.isfinite(low) else "–"


COMMAND = QuestionCommand(
    Randomisation,
    summary="whether the explanations depend on the learned weights",
    description="Draw the weights of the network at random, part by part, and measure how the explanations change.",
    epilog=epilog,
    views=100,
    methods="methods to test (default: all but score-cam)",
    lines=lines_of,
    heading=heading,
    add_options=add_options,
    settings=settings,
)
