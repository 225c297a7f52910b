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
from geoexplain.evaluation.sanity import (
    ImageSanity,
    Randomisation,
    SetSanity,
    evaluate_sanity,
    over_images,
    summary_of,
)
from geoexplain.explainer.sanity import CHANCE_ERRORS, DEPENDS, DRAWS, SANITY_CANDIDATES, SURVIVES
from geoexplain.explainer.tuned import TITLES, TUNED_CANDIDATE, tuned_weights

PLOT = "correlation-by-step.png"

EPILOG = f"""\
The weights of copies of the network are drawn anew, first those of the head, then also those of the last convolution,
and so on to the stem, and every explanation is made again for the same cell: the one that the trained network finds
most probable. What resembles the original map although the weights are random does not show what was learnt.

{IMAGES}

Methods: {", ".join(name for name in TITLES if name != TUNED_CANDIDATE)};
of a model that has tuned weights beside it, as the bundled one, {TUNED_CANDIDATE}.

A method depends on the weights when, all of them being random, the mean rank correlation with the original map is at
most {DEPENDS:g}, or within {CHANCE_ERRORS:g} standard errors of 0. From {SURVIVES:g} on it survives them.
In between, part of the map does.

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
        help="random networks, the same for all images (default: %(default)s)",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=tuple(TITLES),
        default=list(SANITY_CANDIDATES),
        metavar="METHOD",
        help="(default: all but score-cam)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check, write what was found and print it; 1 when images are left out, 130 if interrupted."""
    with manned(args) as (model, source, crew):
        randomisation = Randomisation(
            tuple(name for name in TITLES if name in args.methods),
            args.draws,
            args.seed,
            tuned_weights(model) if TUNED_CANDIDATE in args.methods else None,
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
    """What was found as text: correlations by step, how many images say what, and the verdicts in words."""
    if not found:
        return ["  no image could be examined"]
    width = max(len(name) for name in found) + 2
    steps = next(iter(found.values())).check.steps
    columns = [max(len(step) + 2, 8) for step in steps]
    lines = [f"  {'':<{width}}" + "".join(f"{step:>{w}}" for step, w in zip(steps, columns, strict=True))]
    for name, one in found.items():
        values = ["–" if math.isnan(value) else f"{value:.2f}" for value in one.correlations]
        cells = [f"{value:>{w}}" for value, w in zip(values, columns, strict=True)]
        lines.append(f"  {name:<{width}}" + "".join(cells))
    lines.append("  mean rank correlation with the map of the trained network, by what was drawn last")
    for one in found.values():
        alone = ", ".join(f"{verdict} {images:,}" for verdict, images in one.verdicts.items())
        lines += [f"  {one.check.sentence}", f"    image by image: {alone}"]
    return lines
