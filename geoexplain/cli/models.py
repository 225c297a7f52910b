"""`geoexplain models`: list the models, and add those that may not be redistributed.

Each action imports what it needs when it runs: listing then does not import PyTorch, which takes seconds.
"""

import argparse
import json
import textwrap
from pathlib import Path

from geoexplain.cli.arguments import number
from geoexplain.errors import DataError
from geoexplain.locator.checkpoints import FORMATS
from geoexplain.locator.shards import SHARD_BYTES, index_file
from geoexplain.locator.zoo import ZOO, ModelStatus, home, models, weights_file
from geoexplain.words import printable_lines

MIB = 2**20

EPILOG = f"""\
`geoexplain models` lists every model, and says how to get those that are not there yet. `models add` checks the
authors' files, converts them and stores the result in $GEOEXPLAIN_HOME (default: ~/.geoexplain). The original folder is
not needed afterwards, except for a gallery, which is used where it is.

Contents of the folder, by --format:
{chr(10).join(f"  {name:<11} {row.title}: {row.files}" for name, row in FORMATS.items())}
CERTH's cells_assignments.pkl and back_coll_features.hdf5 are added, too, if they are in the same folder."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options and actions of `geoexplain models`."""
    parser.description = "List the models, add one from its authors' files, remove one."
    parser.epilog = EPILOG
    parser.add_argument("--json", action="store_true", help="one JSON object per model and line instead of text")
    parser.set_defaults(run=run_list)
    actions = parser.add_subparsers(metavar="ACTION")
    add = actions.add_parser("add", help="check a model's files, convert and register them")
    add.description = "Check a model's files, convert them to safetensors and register the result under a name."
    add.epilog = EPILOG
    add.add_argument("name", metavar="NAME", help=f"{', '.join(row for row in ZOO if ZOO[row].obtain)}, or any other")
    add.add_argument("--from", dest="folder", type=Path, required=True, metavar="DIR", help="folder with the files")
    add.add_argument(
        "--format", choices=tuple(FORMATS), help="format of the files (default: the one that NAME implies)"
    )
    add.add_argument(
        "--gallery", type=Path, metavar="DIR|FILE.hdf5", help="photos for Search within Cell, used where they are"
    )
    add.set_defaults(run=run_add)
    remove = actions.add_parser("remove", help="remove an added model and delete its converted files")
    remove.add_argument("name", metavar="NAME", help="a model that was added")
    remove.set_defaults(run=run_remove)
    rename = actions.add_parser("name-cells", help="rename a model's cells after the places they lie in")
    rename.description = (
        "Name a model's cells after the places that contain most of their land, and store these places next to the "
        "model, so that they need not be computed at every load. An added or released model has them already."
    )
    rename.add_argument("model", metavar="NAME|FILE", help="a model, or its .safetensors file")
    rename.add_argument("--force", action="store_true", help="replace the places stored with the model")
    rename.set_defaults(run=run_name_cells)
    split = actions.add_parser("split", help="split a model's weights into files that any Git host accepts")
    split.description = (
        "Replace a model's weights file by shards of less than --max-mib and an index, as Hugging Face names them. The "
        "weights stay identical, and the model keeps its name. Some hosts, such as Spaces, refuse files from 10 MiB."
    )
    split.add_argument("model", metavar="NAME|FILE", help="a model, or its .safetensors file")
    split.add_argument(
        "--max-mib",
        type=number(float, 1, 1_000_000, "a number of MiB from 1"),
        default=SHARD_BYTES / MIB,
        metavar="MIB",
        help="each shard is smaller than this (default: %(default)g)",
    )
    split.set_defaults(run=run_split)
    translate = actions.add_parser("convert", help="turn one of CERTH's pickles into .npz or .csv")
    translate.description = (
        "Turn initial_mu_kappa.pkl, cells_assignments.pkl or metadata_*.pkl into .npz or .csv. "
        "No code in the pickle is executed."
    )
    translate.add_argument("pickle", type=Path, metavar="FILE.pkl", help="the original file")
    translate.add_argument("out", type=Path, metavar="OUT", help="an .npz or .csv file")
    translate.set_defaults(run=run_convert)


def run_list(args: argparse.Namespace) -> int:
    """Print every model."""
    for status in models():
        print(json.dumps(record(status)) if args.json else printable_lines(describe_status(status)))
    return 0


def record(status: ModelStatus) -> dict[str, str | bool | None]:
    """Return the status of a model as plain data."""
    return {
        "name": status.name,
        "title": status.title,
        "purpose": status.purpose,
        "ready": status.ready,
        "file": str(status.file) if status.ready else None,
        "gallery": None if status.gallery is None else str(status.gallery),
        "note": status.note,
        "citation": ZOO[status.name].citation if status.name in ZOO else "",
    }


def describe_status(status: ModelStatus) -> str:
    """Describe a model in a few lines."""
    facts = [status.title, status.purpose, status.note]
    if status.gallery is not None:
        gone = "" if status.gallery.exists() else ", which does not exist at present"
        facts.append(f"Search within Cell looks through {status.gallery.name}{gone}.")
    lines = [f"{status.name:<16} {'ready' if status.ready else 'not there yet'}"]
    for fact in filter(None, facts):
        lines += textwrap.wrap(fact, 100, initial_indent="    ", subsequent_indent="      ", break_long_words=False)
    return "\n".join(lines)


def run_add(args: argparse.Namespace) -> int:
    """Add a model and print its architecture, cells and folder."""
    from geoexplain.locator.registry import add_model  # noqa: PLC0415

    if args.gallery is not None and not args.gallery.exists():
        raise DataError(f"--gallery {args.gallery}: expected a folder or an .hdf5 file, found none.")
    model = add_model(args.name, args.folder, args.format, args.gallery)
    levels = " in ".join(f"{len(cells):,}" for cells in (model.partition, *model.coarser))
    print(f"{args.name}: {model.backbone.architecture}, {levels} cells, in {home() / 'models' / args.name}")
    return 0


def run_remove(args: argparse.Namespace) -> int:
    """Remove a model."""
    from geoexplain.locator.registry import remove_model  # noqa: PLC0415

    remove_model(args.name)
    return 0


def run_name_cells(args: argparse.Namespace) -> int:
    """Rename a model's cells and print how many there are."""
    from geoexplain.locator.checkpoints.cells import name_cells_beside, places_file  # noqa: PLC0415

    file = weights_file(args.model)
    named = name_cells_beside(file, replace_places=args.force)
    print(f"{file.stem}: {len(named):,} cells named, with their places in {places_file(file).name}")
    return 0


def run_split(args: argparse.Namespace) -> int:
    """Split a model's weights and print the names and sizes of the shards."""
    from geoexplain.locator.checkpoints.splitting import split_model  # noqa: PLC0415

    file = weights_file(args.model)
    for shard in split_model(file, int(args.max_mib * MIB)):
        print(f"{shard.name}: {shard.stat().st_size:,} bytes")
    print(f"{index_file(file).name}: which shard holds what")
    return 0


def run_convert(args: argparse.Namespace) -> int:
    """Convert a pickle and print what it contained."""
    from geoexplain.files.conversion import convert  # noqa: PLC0415

    print(f"{args.out}: {convert(args.pickle, args.out)}")
    return 0
