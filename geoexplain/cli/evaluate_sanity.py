"""`geoexplain evaluate sanity`: do explanations depend on what the network has learnt, over a set of images?"""

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
    """What its help says of images, methods and files."""
    return f"""\
The weights of copies of the network are drawn anew, first those of the head, then also those of the last convolution,
and so on to the stem, and every explanation is made again for the same cell: the one that the trained network finds
most probable. What resembles the original map although the weights are random does not show what was learnt.

{IMAGES}

Methods: {", ".join(name for name in Randomisation.known_methods() if name != TUNED)};
of a model that has tuned weights beside it, as the bundled one, {TUNED}.

What is left of a map is its resemblance to the original: |rank correlation| beyond that of unrelated maps which are
as coarse, so that 0 is chance and 1 the same map. A method depends on the weights when the 95 % interval of the mean
resemblance over the images, all weights being random, lies below {DEPENDS_BELOW:g}; it survives them when the interval
lies above {SURVIVES_ABOVE:g}, and does partly when it lies between. Otherwise, and of fewer than {FEWEST} images, there
are too few images to tell, and the verdict says how many more should do.

--out receives {TABLE} (one row per image, method and step), {SUMMARY} (means with intervals, verdicts),
{PLOT}, {RESUMING}"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this question alone."""
    parser.add_argument(
        "--draws",
        type=count,
        default=DRAWS,
        metavar="D",
        help="random networks for each image (default: %(default)s)",
    )


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """These options as settings of a Randomisation."""
    return {"draws": args.draws}


def heading(randomisation: Randomisation) -> str:
    """How often the weights were drawn."""
    return f", {counted(randomisation.draws, 'draw')} of the weights"


def lines_of(_randomisation: Randomisation, found: Mapping[str, SetSanity]) -> list[str]:
    """What was found as text: resemblances by step, how many images say what, and the verdicts in words."""
    if not found:
        return ["  no image could be examined"]
    width = max(len(name) for name in found) + 2
    steps = next(iter(found.values())).steps
    columns = [max(len(step) + 2, 8) for step in steps]
    heads = "".join(f"{step:>{w}}" for step, w in zip(steps, columns, strict=True))
    lines = [f"  {'':<{width}}{heads}  [95 %]"]
    for name, one in found.items():
        values = ["–" if math.isnan(value) else two_decimals_text(value) for value in one.resemblances]
        cells = "".join(f"{value:>{w}}" for value, w in zip(values, columns, strict=True))
        lines.append(f"  {name:<{width}}{cells}  {span_of(one)}")
    lines.append(
        "  mean resemblance to the map of the trained network (0: as unrelated maps, 1: the same map), by what was "
        "drawn last; and the interval over images when everything is random"
    )
    for one in found.values():
        alone = ", ".join(f"{verdict} {images:,}" for verdict, images in one.verdicts.items())
        lines += [f"  {one.sentence}", f"    image by image: {alone}"]
    return lines


def span_of(one: SetSanity) -> str:
    """The interval of what is left when all weights are random: "[−0.03, 0.15]", a dash where there is none."""
    low, high = one.intervals[-1]
    return f"[{two_decimals_text(low)}, {two_decimals_text(high)}]" if math.isfinite(low) else "–"


COMMAND = QuestionCommand(
    Randomisation,
    summary="whether the explanations depend on what the network has learnt",
    description="Draw the weights of the network anew, part by part, and see what is left of explanations.",
    epilog=epilog,
    views=100,
    methods="(default: all but score-cam)",
    lines=lines_of,
    heading=heading,
    add_options=add_options,
    settings=settings,
)
