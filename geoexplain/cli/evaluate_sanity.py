"""`geoexplain evaluate sanity`: do explanations depend on what the network has learnt, over a set of images?"""

import argparse
import math
from collections.abc import Callable, Mapping

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
from geoexplain.evaluation.plot_sanity import plot_sanity
from geoexplain.evaluation.record import TABLE
from geoexplain.evaluation.sanity import DRAWS, ImageSanity, Randomisation, evaluate_sanity
from geoexplain.evaluation.sanity_tables import SetSanity, over_images, summary_of
from geoexplain.explainer.intervals import FEWEST
from geoexplain.explainer.sanity_verdict import DEPENDS_BELOW, SURVIVES_ABOVE, hundredths
from geoexplain.explainer.table import CAMS, TUNED, of_family, tuned_weights
from geoexplain.explainer.tuning_gain import untuned

PLOT = "resemblance-by-step.png"

EPILOG = f"""\
The weights of copies of the network are drawn anew, first those of the head, then also those of the last convolution,
and so on to the stem, and every explanation is made again for the same cell: the one that the trained network finds
most probable. What resembles the original map although the weights are random does not show what was learnt.

{IMAGES}

Methods: {", ".join(name for name in of_family(*CAMS) if name != TUNED)};
of a model that has tuned weights beside it, as the bundled one, {TUNED}.

What is left of a map is its resemblance to the original: |rank correlation| beyond that of unrelated maps which are
as coarse, so that 0 is chance and 1 the same map. A method depends on the weights when the 95 % interval of the mean
resemblance over the images, all weights being random, lies below {DEPENDS_BELOW:g}; it survives them when the interval
lies above {SURVIVES_ABOVE:g}, and does partly when it lies between. Otherwise, and of fewer than {FEWEST} images, there
are too few images to tell, and the verdict says how many more should do.

--out receives {TABLE} (one row per image, method and step), {SUMMARY} (means with intervals, verdicts),
{PLOT}, {RESUMING}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `geoexplain evaluate sanity`."""
    parser.description = "Draw the weights of the network anew, part by part, and see what is left of explanations."
    parser.epilog = EPILOG
    add_image_set(parser, views=100)
    parser.add_argument(
        "--draws",
        type=count,
        default=DRAWS,
        metavar="D",
        help="random networks for each image (default: %(default)s)",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=tuple(of_family(*CAMS)),
        default=list(untuned()),
        metavar="METHOD",
        help="(default: all but score-cam)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check, write what was found and print it; 1 when images are left out, 130 if interrupted."""
    with manned(args) as (model, source, crew):
        randomisation = Randomisation(
            tuple(name for name in of_family(*CAMS) if name in args.methods),
            args.draws,
            args.seed,
            tuned_weights(model) if TUNED in args.methods else None,
        )

        def ask(progress: Callable[[int, int], None]) -> tuple[ImageSanity, ...]:
            return evaluate_sanity(
                model, source, randomisation, args.out, crew=crew, resume=args.resume, progress=progress
            )

        answers = watched(args, source, ask)
    found = over_images(answers, randomisation)
    code = write_summary(args.out, summary_of(answers, found, settings_in(args.out)))
    title = f"{model.name} on {source.title}"
    plot_sanity(found, title, args.out / PLOT)
    draws = "1 draw" if args.draws == 1 else f"{args.draws:,} draws"
    print(printable("\n".join([f"{title}, {draws} of the weights", *lines_of(found), *left_out(answers)])))
    return code


def lines_of(found: Mapping[str, SetSanity]) -> list[str]:
    """What was found as text: resemblances by step, how many images say what, and the verdicts in words."""
    if not found:
        return ["  no image could be examined"]
    width = max(len(name) for name in found) + 2
    steps = next(iter(found.values())).steps
    columns = [max(len(step) + 2, 8) for step in steps]
    heads = "".join(f"{step:>{w}}" for step, w in zip(steps, columns, strict=True))
    lines = [f"  {'':<{width}}{heads}  [95 %]"]
    for name, one in found.items():
        values = ["–" if math.isnan(value) else hundredths(value) for value in one.resemblances]
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
    return f"[{hundredths(low)}, {hundredths(high)}]" if math.isfinite(low) else "–"
