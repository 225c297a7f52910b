"""`geoexplain models`: which models there are, and adding those that may not be passed on.

What an action needs is imported when it runs: listing needs no PyTorch, which takes seconds.
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
`geoexplain models` lists every model, and says of those that are not there yet how to get them. `models add` checks
their authors' files, converts them and keeps the result in $GEOEXPLAIN_HOME (default: ~/.geoexplain); the folder that
they came from is not needed afterwards, except for a gallery, which is used where it is.

What a folder holds, by --format:
{chr(10).join(f"  {name:<11} {row.title}: {row.files}" for name, row in FORMATS.items())}
CERTH's cells_assignments.pkl and back_coll_features.hdf5 are taken along if they lie in the same folder."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `geoexplain models`."""
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
    add.add_argument("--format", choices=tuple(FORMATS), help="whose files they are (default: as NAME says)")
    add.add_argument(
        "--gallery", type=Path, metavar="DIR|FILE.hdf5", help="photos for Search within Cell, used where they are"
    )
    add.set_defaults(run=run_add)
    remove = actions.add_parser("remove", help="forget an added model and delete its files here")
    remove.add_argument("name", metavar="NAME", help="a model that was added")
    remove.set_defaults(run=run_remove)
    rename = actions.add_parser("name-cells", help="name a model's cells anew, after the places they lie in")
    rename.description = (
        "Name a model's cells after the places that hold most of their land, and store these places beside the model, "
        "so that they need not be found whenever it is loaded. A model that is added or released has that already."
    )
    rename.add_argument("model", metavar="NAME|FILE", help="a model, or its .safetensors file")
    rename.add_argument("--force", action="store_true", help="replace the places that are stored with it")
    rename.set_defaults(run=run_name_cells)
    split = actions.add_parser("split", help="split a model's weights into files that any Git host takes")
    split.description = (
        "Replace a model's weights file by shards of less than --max-mib and an index, as Hugging Face names them. The "
        "weights keep every bit; the model is named as before. Some hosts, such as Spaces, refuse 10 MiB and more."
    )
    split.add_argument("model", metavar="NAME|FILE", help="a model, or its .safetensors file")
    split.add_argument(
        "--max-mib",
        type=number(float, 1, 1_000_000, "a number of MiB from 1"),
        default=SHARD_BYTES / MIB,
        metavar="MIB",
        help="each shard is smaller (default: %(default)g)",
    )
    split.set_defaults(run=run_split)
    translate = actions.add_parser("convert", help="turn one of CERTH's pickles into .npz or .csv")
    translate.description = (
        "Turn initial_mu_kappa.pkl, cells_assignments.pkl or metadata_*.pkl into .npz or .csv. "
        "Nothing in the pickle is run."
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
    """A model as plain data for scripts."""
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
    """A model in a few lines."""
    facts = [status.title, status.purpose, status.note]
    if status.gallery is not None:
        gone = "" if status.gallery.exists() else ", which is not there at the moment"
        facts.append(f"Search within Cell looks through {status.gallery.name}{gone}.")
    lines = [f"{status.name:<16} {'ready' if status.ready else 'not there yet'}"]
    for fact in filter(None, facts):
        lines += textwrap.wrap(fact, 100, initial_indent="    ", subsequent_indent="      ", break_long_words=False)
    return "\n".join(lines)


def run_add(args: argparse.Namespace) -> int:
    """Add a model and say what it is."""
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
    """Name a model's cells anew and say how many there are."""
    from geoexplain.locator.checkpoints.cells import name_cells_beside, places_file  # noqa: PLC0415

    file = weights_file(args.model)
    named = name_cells_beside(file, replace_places=args.force)
    print(f"{file.stem}: {len(named):,} cells named, with their places in {places_file(file).name}")
    return 0


def run_split(args: argparse.Namespace) -> int:
    """Split a model's weights and say into what."""
    from geoexplain.locator.checkpoints.splitting import split_model  # noqa: PLC0415

    file = weights_file(args.model)
    for shard in split_model(file, int(args.max_mib * MIB)):
        print(f"{shard.name}: {shard.stat().st_size:,} bytes")
    print(f"{index_file(file).name}: which shard holds what")
    return 0


def run_convert(args: argparse.Namespace) -> int:
    """Convert a pickle and say what it was."""
    from geoexplain.files.conversion import convert  # noqa: PLC0415

    print(f"{args.out}: {convert(args.pickle, args.out)}")
    return 0
