"""`geoexplain evaluate gate`: measure whether the gate accepts images of the model's kind and rejects others."""

import argparse
import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from geoexplain.cli.arguments import add_model, chosen_model, complain, count
from geoexplain.cli.batch import move, progress_bar
from geoexplain.cli.image_set import add_sampling, find_imagery, sampling_of
from geoexplain.errors import DataError
from geoexplain.evaluation.fingerprint import model_fingerprint
from geoexplain.evaluation.gate import (
    GateAnswers,
    ask_gate,
    check_gate,
    gate_answers,
    gate_area,
    merge_answers,
    pictures_by_kind,
)
from geoexplain.evaluation.views import predictions_of
from geoexplain.imagery.conditions import CONDITIONS, ViewSet, views_under
from geoexplain.imagery.discs import disc_files, disc_views, load_disc
from geoexplain.imagery.earth import load_clouds, load_imagery
from geoexplain.imagery.effects import Surroundings
from geoexplain.imagery.markings import load_markings
from geoexplain.imagery.others import SUFFIXES
from geoexplain.locator.model import GeoModel
from geoexplain.words import percent

EPILOG = """\
Images of the model's kind are views of whole-earth images (--imagery, --discs, as for `geoexplain evaluate views`), or
pictures in a folder (--own). Other images are the pictures in folders (--others); each kind has a folder of its own,
which is named after it. Pictures that the gate was fitted on say little about it: use different ones.

--json writes {"model", "model_sha256", "threshold", "area_under_roc", "own": {name: {"images", "in_domain",
"localizable"}}, "others": likewise}; shares are in [0, 1]."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `geoexplain evaluate gate`."""
    parser.description = "Measure how well a model's gate distinguishes its own kind of image from others."
    parser.epilog = EPILOG
    parser.add_argument("--imagery", nargs="+", default=[], metavar="FILE|DIR", help="equirectangular images")
    parser.add_argument(
        "--clouds", type=Path, nargs="+", metavar="FILE", help="maps of clouds, which add hazy and cloudy views"
    )
    parser.add_argument(
        "--discs", nargs="+", type=Path, default=[], metavar="FILE|DIR", help="pictures of the whole Earth"
    )
    parser.add_argument("--own", nargs="+", type=Path, default=[], metavar="DIR", help="pictures of the model's kind")
    parser.add_argument("--others", nargs="+", type=Path, default=[], metavar="DIR", help="pictures of other kinds")
    add_model(parser)
    parser.add_argument("--views", type=count, default=500, help="views of each kind (default: %(default)s)")
    add_sampling(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file as well")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the gate on every image, print a table, and write the figures."""
    files_own = pictures_by_kind(args.own, SUFFIXES) if args.own else {}
    files_others = pictures_by_kind(args.others, SUFFIXES) if args.others else {}
    imagery = [file for source in args.imagery for file in find_imagery(source)]
    discs = disc_files(args.discs)
    taken = {file.stem for file in imagery} | ({"discs"} if discs else set())
    if twice := sorted(taken & set(files_own)):
        raise DataError(f"--own: expected names that no other set of images has, got {twice[0]}: rename the folder.")
    if not (files_own or imagery or discs or files_others):
        raise DataError("expected images, got none: add --imagery, --discs, --own or --others.")
    sampling = sampling_of(args)
    model = chosen_model(args)
    check_gate(model)
    own: dict[str, GateAnswers] = {}
    for name, views in _view_sets(args.clouds, imagery, discs, sampling):
        with progress_bar(len(views), "views", desc=name) as bar:
            own[name] = gate_answers(model, predictions_of(model, views, progress=partial(move, bar)))
    own |= _file_answers(model, files_own)
    others = _file_answers(model, files_others)
    assert model.gate is not None
    print(f"{model.name}: is it {model.gate.kind}?\n{table(own, others)}")
    area = gate_area(own, others)
    if not np.isnan(area):
        print(f"  area under the receiver operating characteristic  {area:.3f}")
    if args.json:
        facts = {
            "model": model.name,
            "model_sha256": model_fingerprint(model),
            "threshold": model.gate.threshold,
            "area_under_roc": None if np.isnan(area) else area,
            "own": {name: gate_record(part) for name, part in own.items()},
            "others": {name: gate_record(part) for name, part in others.items()},
        }
        args.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return 0


def gate_record(answers: GateAnswers) -> dict[str, Any]:
    """Return the figures of one kind of image as plain data; shares are None where there is no image."""
    some = len(answers) > 0
    return {
        "images": len(answers),
        "in_domain": float(answers.in_domain.mean()) if some else None,
        "localizable": float(answers.localizable.mean()) if some else None,
    }


def table(own: Mapping[str, GateAnswers], others: Mapping[str, GateAnswers]) -> str:
    """Format a row per kind of image: count, accepted share, localizable share; and one for all others together."""
    lines = [f"  {'':<30}{'images':>8}{'let pass':>11}{'localizable':>13}"]
    rows = [*own.items(), *((f"not: {name}", part) for name, part in others.items())]
    if len(others) > 1:
        rows.append(("not: all of these", merge_answers(others.values())))
    for name, part in rows:
        if len(part):
            shares = f"{percent(part.in_domain.mean()):>11}{percent(part.localizable.mean()):>13}"
            lines.append(f"  {name[:30]:<30}{len(part):>8,}{shares}")
    return "\n".join(lines)


def _file_answers(model: GeoModel, kinds: Mapping[str, list[Path]]) -> dict[str, GateAnswers]:
    answers = {}
    for name, files in kinds.items():
        with progress_bar(len(files), "images", desc=name) as bar:
            answers[name], unread = ask_gate(model, files, partial(move, bar))
        if unread:
            complain(f"{name}: {len(unread)} of {len(files)} pictures could not be read and are left out.")
    return answers


def _view_sets(
    clouds: list[Path] | None, imagery: list[Path], discs: list[Path], sampling: dict[str, Any]
) -> Iterator[tuple[str, ViewSet]]:
    around = Surroundings(load_clouds(clouds), load_markings()) if clouds else None
    for file in imagery:
        earth = load_imagery([file])
        for name in ("plain", "mixture") if around is not None else ("plain",):
            title = file.stem if name == "plain" else f"{file.stem}, {name}"
            yield title, views_under(CONDITIONS[name], earth, around=around, **sampling)
    if discs:
        yield "discs", disc_views([load_disc(file) for file in discs], **sampling)
