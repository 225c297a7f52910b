"""`geoexplain tune`: search for weights of Combi-CAM, on one image or over a set, and measure what they gain."""

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
"""Default number of views of --imagery: half of them for tuning, the others for the test."""

EPILOG = """\
Weights are tuned for the most probable cell of each image. The search maximises the mean over the images of

  insertion-deletion  insertion AUC − deletion AUC: show or hide what the heatmap marks, and measure the probability
  adcc                the harmonic mean of coherency, simplicity and the probability that is kept

Every image is traced once. The search starts from all presets and from every stage (or block) alone, so that its
result is never worse than these on the tuning images, and then changes one weight after the other.

On one image the result is then measured again with other numbers of steps, together with the best map that needs no
tuning, and by ROAD, which nothing was tuned for. A difference within the noise of the steps is not a gain.

Over a set, a random share of the images is held out. On these the result is compared, image by image and by both
measures, with Grad-CAM (deepest stage), equal weights, Combi-CAM as published and a Gaussian in the middle of the
image. A gain is better than chance only if its 95 % interval lies above 0.

--out writes the weights. As NAME.tuned.json next to the model's NAME.safetensors they become combi-cam-tuned of
that model: `geoexplain explain --preset combi-cam-tuned`, `geoexplain evaluate explanations --methods combi-cam-tuned`,
and a button in the studio. They are ignored once the weights of the model change."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `geoexplain tune`."""
    parser.description = (
        "Find the weights that make Combi-CAM most faithful, and test whether they help on other images."
    )
    parser.epilog = EPILOG
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("image", nargs="?", metavar="IMAGE", help="a single image to tune on")
    add_source(parser, source, VIEWS)
    add_model(parser)
    what = parser.add_argument_group("what is tuned")
    what.add_argument(
        "--method",
        choices=tuple(kinds_of_family(GRADIENT_CAM)),
        default="grad-cam",
        help="method whose maps are combined (default: %(default)s)",
    )
    what.add_argument(
        "--level", choices=LEVELS, default="stage", help="one weight per stage or per block (default: %(default)s)"
    )
    what.add_argument("--how", choices=tuple(COMBINATIONS), help="the way of combining (default: all are tried)")
    measured = parser.add_argument_group("what is measured")
    measured.add_argument(
        "--objective",
        choices=tuple(OBJECTIVES),
        default="insertion-deletion",
        help="value to maximise (default: %(default)s)",
    )
    measured.add_argument(
        "--steps",
        type=count,
        default=TUNING_STEPS,
        metavar="N",
        help="steps of deletion and insertion while tuning (default: %(default)s)",
    )
    measured.add_argument(
        "--held-out",
        type=number(float, 0, 0.95, "a share from 0 to 0.95"),
        default=0.5,
        metavar="SHARE",
        help="share of the images to test on; 0: no test (default: %(default)s)",
    )
    measured.add_argument(
        "--held-out-steps",
        type=count,
        default=STEPS,
        metavar="N",
        help="steps of deletion and insertion on the held-out images (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="file for the weights and their gains")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Tune, test, print and write the results; return 0."""
    if args.out:
        make_folder(args.out.parent)
    if args.image is not None:
        model, tuning, tuned_on, gain = on_one(args)
        held_out, result_lines = None, [gain]
    else:
        model, tuning, tuned_on, held_out = on_many(args)
        result_lines = [] if held_out is None else [text for one in held_out for text in held_out_lines(one)]
    print(printable_lines("\n".join([text_of(tuning, tuned_on), *result_lines])))
    if args.out:
        file = weights_file(args.model)
        write_tuned(args.out, stage_weights(tuning, tuned_on, held_out), file)
        used = args.out.absolute() == tuned_file(file).absolute()
        hint = "" if used else f"; as {tuned_file(file).name} next to {file.name} it is {TUNED} of {model.name}"
        print(printable_lines(f"written to {args.out}{hint}"))
    return 0


def on_one(args: argparse.Namespace) -> tuple[GeoModel, Tuning, str, str]:
    """Tune on one image, where nothing can be held out.

    Returns the model, the tuning, a description of the image, and a text on the gain on this image.
    """
    if args.images is not None:
        raise DataError("--images: expected it with --manifest, got it with one image: leave it out.")
    picture = open_image(args.image)
    model = chosen_model(args)
    case = prepare_case(model, model.tensor(picture), None, args.method)
    words = f"one image, {Path(args.image).name}, for {target_text(case.subject.target, model.partition.labels)}"
    tuning = tuned(args, [case])
    with progress_bar(measurement_count(args.objective), "heatmaps", desc="comparing") as bar:
        gain = image_gain(case, tuning.setting, args.objective, args.steps, progress=reporter(bar, "heatmaps"))
    return model, tuning, words, f"  {gain_text(gain)}\n  Weights tuned on one image say nothing of others."


def on_many(args: argparse.Namespace) -> tuple[GeoModel, Tuning, str, tuple[HeldOut, HeldOut] | None]:
    """Tune on some images of a set, and test on the others.

    Returns the model, the tuning, a description of the images, and the gains by both measures; None without a test.
    """
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
    """Search for the weights, with a progress bar over the trials."""
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
    """Format the tuning: the best setting, and the settings that the search started from."""
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
    """Format a setting that the search started from; a flat map has no value."""
    title = EXPLANATIONS[name].title if name in EXPLANATIONS else name
    missing = tuning.without.get(name, 0)
    without = f", without a value on {missing:,} of {tuning.images:,} images" if missing < tuning.images else ", flat"
    return f"{'–' if value is None else f'{value:.4f}':>8}  {title}{without if missing else ''}"


def held_out_lines(held_out: HeldOut) -> list[str]:
    """Return lines on the held-out images by one measure."""
    return [
        f"On {held_out.on}: {held_out.objective} {bounded(held_out.value)}",
        *(
            f"  over {name:<16} {bounded(gain, '+')}  {verdict(gain, held_out.images)}"
            for name, gain in held_out.gains.items()
        ),
        reading(held_out),
    ]


def bounded(interval: Interval, sign: str = "") -> str:
    """Format a mean and its interval: "0.412 (0.398 to 0.427)"; for gains, `sign` is "+"."""
    mean, low, high = (f"{value:{sign}.4f}" for value in (interval.mean, interval.low, interval.high))
    return f"{mean} ({low} to {high})"


def reading(held_out: HeldOut) -> str:
    """Summarise the gains in one sentence."""
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
