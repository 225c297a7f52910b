"""`geoexplain tune`: a search for weights of Combi-CAM, on one image or over a set, and what they gain."""

import argparse
import math
from pathlib import Path

from geoexplain.cli.arguments import add_model, chosen_model, count, number
from geoexplain.cli.batch import progress_bar, reporter
from geoexplain.cli.explain import make_folder
from geoexplain.cli.image_set import add_source, open_image_set
from geoexplain.errors import DataError
from geoexplain.evaluation.tuning import held_out_gains, split, stage_weights, tuning_cases, verdict
from geoexplain.explainer.combine import COMBINATIONS
from geoexplain.explainer.metrics import STEPS
from geoexplain.explainer.objectives import OBJECTIVES
from geoexplain.explainer.table import EXPLANATIONS, GRADIENT_CAM, TUNED, kinds_of_family
from geoexplain.explainer.target import target_text
from geoexplain.explainer.trace import LEVELS
from geoexplain.explainer.tuning import TUNING_STEPS, Case, Tuning, prepare_case, tune
from geoexplain.explainer.tuning_gain import gain_text, image_gain, measurement_count
from geoexplain.images import open_image
from geoexplain.locator.model import GeoModel
from geoexplain.locator.tuned import HeldOut, Interval, tuned_file, write_tuned
from geoexplain.locator.zoo import weights_file
from geoexplain.words import printable_lines

VIEWS = 96
"""Views of --imagery unless told otherwise: half of them tune, the others test."""

EPILOG = """\
Weights are tuned for the most probable cell of each image. What is made as large as possible is the mean of

  insertion-deletion  insertion AUC − deletion AUC: show what the heatmap marks, or hide it, and watch the probability
  adcc                the harmonic mean of coherency, simplicity and the probability that is kept

over the images. Every image is traced once. The search begins with all presets and every stage (or block) alone, so
that its result is never worse than they are on the images it saw, and then changes one weight after the other.

On one image the result is then measured anew, by other numbers of steps, beside the best map that needs no tuning, and
by the probability that is lost to ROAD, which nothing was tuned for. A difference within the noise of the steps is no
gain.

Over a set, a share of the images, chosen at random, is held out. On those the result is compared, image by image, with
Grad-CAM (deepest stage), equal weights, Combi-CAM as published and a Gaussian in the middle of the image, by both
measures. A gain is better than chance only if its 95 % interval lies above 0.

--out writes what was found. As NAME.tuned.json beside the model's NAME.safetensors it becomes combi-cam-tuned of
that model: `geoexplain explain --preset combi-cam-tuned`, `geoexplain evaluate explanations --methods combi-cam-tuned`,
and a button in the studio. It is not used any more once the weights of the model are others."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `geoexplain tune`."""
    parser.description = (
        "Find the weights that make Combi-CAM most faithful, and say whether they help on other images."
    )
    parser.epilog = EPILOG
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("image", nargs="?", metavar="IMAGE", help="one image to tune on, for itself alone")
    add_source(parser, source, VIEWS)
    add_model(parser)
    what = parser.add_argument_group("what is tuned")
    what.add_argument(
        "--method",
        choices=tuple(kinds_of_family(GRADIENT_CAM)),
        default="grad-cam",
        help="whose maps are combined (default: %(default)s)",
    )
    what.add_argument(
        "--level", choices=LEVELS, default="stage", help="a weight per stage or per block (default: %(default)s)"
    )
    what.add_argument("--how", choices=tuple(COMBINATIONS), help="the way of combining (default: all are tried)")
    measured = parser.add_argument_group("what for")
    measured.add_argument(
        "--objective", choices=tuple(OBJECTIVES), default="insertion-deletion", help="(default: %(default)s)"
    )
    measured.add_argument(
        "--steps",
        type=count,
        default=TUNING_STEPS,
        metavar="N",
        help="of deletion and insertion while tuning (default: %(default)s)",
    )
    measured.add_argument(
        "--held-out",
        type=number(float, 0, 0.95, "a share from 0 to 0.95"),
        default=0.5,
        metavar="SHARE",
        help="of the images, to test on; 0 tests nothing (default: %(default)s)",
    )
    measured.add_argument(
        "--held-out-steps",
        type=count,
        default=STEPS,
        metavar="N",
        help="of deletion and insertion on the held-out images (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="file for the weights and what they gain")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Tune, test, print what was found and write it."""
    if args.out:
        make_folder(args.out.parent)
    if args.image is not None:
        model, tuning, tuned_on, gain = on_one(args)
        held_out, found = None, [gain]
    else:
        model, tuning, tuned_on, held_out = on_many(args)
        found = [] if held_out is None else [text for one in held_out for text in held_out_lines(one)]
    print(printable_lines("\n".join([text_of(tuning, tuned_on), *found])))
    if args.out:
        file = weights_file(args.model)
        write_tuned(args.out, stage_weights(tuning, tuned_on, held_out), file)
        used = args.out.absolute() == tuned_file(file).absolute()
        hint = "" if used else f"; as {tuned_file(file).name} beside {file.name} it is {TUNED} of {model.name}"
        print(printable_lines(f"written to {args.out}{hint}"))
    return 0


def on_one(args: argparse.Namespace) -> tuple[GeoModel, Tuning, str, str]:
    """Tune on one image, where nothing can be held out; what was tuned on, and what it gained there, in words."""
    if args.images is not None:
        raise DataError("--images: expected it with --manifest, got it with one image: leave it out.")
    picture = open_image(args.image)
    model = chosen_model(args)
    case = prepare_case(model, model.tensor(picture), None, args.method)
    words = f"one image, {Path(args.image).name}, for {target_text(case.subject.target, model.partition.labels)}"
    found = tuned(args, [case])
    with progress_bar(measurement_count(args.objective), "heatmaps", desc="comparing") as bar:
        gain = image_gain(case, found.setting, args.objective, args.steps, progress=reporter(bar, "heatmaps"))
    return model, found, words, f"  {gain_text(gain)}\n  Weights tuned on one image say nothing of others."


def on_many(args: argparse.Namespace) -> tuple[GeoModel, Tuning, str, tuple[HeldOut, HeldOut] | None]:
    """Tune on some images of a set, and test on the others; what was tuned on in words, and how the test went."""
    model, source = open_image_set(args)
    own, others = split(source.total, args.held_out, args.seed)
    with progress_bar(len(own), "images", desc="tracing") as bar:
        cases = tuning_cases(model, source, own, args.method, progress=reporter(bar, "images"))
    tuning = tuned(args, cases)
    held_out = None
    if others:
        with progress_bar(len(others), "images", desc="testing") as bar:
            held_out = held_out_gains(
                model,
                source,
                others,
                tuning.method,
                tuning.setting,
                objective=args.objective,
                steps=args.held_out_steps,
                seed=args.seed,
                progress=reporter(bar, "images"),
            )
    return model, tuning, f"{tuning.images:,} of {source.title}, seed {args.seed}", held_out


def tuned(args: argparse.Namespace, cases: list[Case]) -> Tuning:
    """The search, with a bar over its trials."""
    with progress_bar(0, "trials", desc="tuning") as bar:
        report = reporter(bar, "trials")

        def progress(done: int, total: int) -> None:
            bar.total = total
            report(done, total)

        return tune(
            cases,
            level=args.level,
            how=args.how,
            objective=args.objective,
            steps=args.steps,
            seed=args.seed,
            progress=progress,
        )


def text_of(tuning: Tuning, tuned_on: str) -> str:
    """What was found as text: the setting, and what it was chosen from."""
    setting = tuning.setting
    weights = ",".join(f"{weight:g}" for weight in setting.weights)
    make = f"{setting.how} of {len(setting.weights)} {setting.level}s"
    lines = [
        f"{EXPLANATIONS[tuning.method].title} tuned on {tuned_on}",
        f"  --level {setting.level} --how {setting.how} --weights {weights}",
        f"  {tuning.objective}, higher is better; {tuning.trials} settings, {tuning.measured:,} heatmaps measured:",
        f"  {tuning.value:>8.4f}  tuned: {make}",
    ]
    ordered = sorted(tuning.starts.items(), key=lambda item: -math.inf if item[1] is None else item[1], reverse=True)
    lines += [f"  {start_text(tuning, name, value)}" for name, value in ordered]
    if tuning.value <= max((value for value in tuning.starts.values() if value is not None), default=-math.inf):
        lines.append("  Nothing that was tried is better than the best of these.")
    return "\n".join(lines)


def start_text(tuning: Tuning, name: str, value: float | None) -> str:
    """One row of what the search began with; a flat map has no value."""
    title = EXPLANATIONS[name].title if name in EXPLANATIONS else name
    missing = tuning.without.get(name, 0)
    without = f", without a value on {missing:,} of {tuning.images:,} images" if missing < tuning.images else ", flat"
    return f"{'–' if value is None else f'{value:.4f}':>8}  {title}{without if missing else ''}"


def held_out_lines(held_out: HeldOut) -> list[str]:
    """What one measure says of other images."""
    return [
        f"On {held_out.on}: {held_out.objective} {bounded(held_out.value)}",
        *(
            f"  over {name:<16} {bounded(gain, '+')}  {verdict(gain, held_out.images)}"
            for name, gain in held_out.gains.items()
        ),
        reading(held_out),
    ]


def bounded(interval: Interval, sign: str = "") -> str:
    """A mean and its interval: "0.412 (0.398 to 0.427)"; with the sign "+", of a gain."""
    mean, low, high = (f"{value:{sign}.4f}" for value in (interval.mean, interval.low, interval.high))
    return f"{mean} ({low} to {high})"


def reading(held_out: HeldOut) -> str:
    """What the gains say, in one sentence."""
    by_verdict: dict[str, list[str]] = {}
    for name, gain in held_out.gains.items():
        by_verdict.setdefault(verdict(gain, held_out.images), []).append(name)
    parts = [
        f"{words} {', '.join(by_verdict[kind])}"
        for kind, words in (
            ("better", "better than"),
            ("no gain", "no better, beyond chance, than"),
            ("worse", "worse than"),
            ("too few", "measured on too few images to be held against"),
        )
        if kind in by_verdict
    ]
    return f"  On images that they were not tuned on, these weights are {'; '.join(parts)}."
