"""The command line: one module per command, imported only when its command is given.

So training needs no Gradio and locating needs no map library, and neither has to be installed for it.
"""

import importlib
import os
import re
import sys
from collections.abc import Sequence

import geoexplain
from geoexplain.cli.arguments import Parser, complain
from geoexplain.errors import GeoExplainError
from geoexplain.locator.memory import reuse_freed_memory

COMMANDS = {
    "locate": "say where images were taken",
    "explain": "show what in an image speaks for a place: heatmaps, raw maps, a world map",
    "concepts": "say on what in an image an explanation lies: on the coast, on the ice, on a tower",
    "evaluate": "measure how often, and how honestly, a model is right",
    "tune": "search for weights of Combi-CAM, and say what they gain",
    "practice": "make a set of positions and photos to practise training on",
    "addresses": "say which places hold each of many coordinates",
    "partition": "build the cells that a model is trained on, or look at them",
    "train": "train a model, or release a trained one",
    "models": "list the models, add one, remove one",
    "gallery": "collect the photos that Search within Cell looks through",
    "inference": "the original inference.py's options and pictures",
    "studio": "serve the studio: everything in a browser",
}
"""Every command with its line of help; each is the module of the same name in this package."""

CELL_OPTIONS = ("--target", "--against", "--position")
"""What is followed by a cell or a place, whose latitude may be negative."""

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130

EPILOG = """\
Exit codes: 0 all went well; 1 some images failed, or a file could not be written; 2 nothing was begun, since the
command line, or a model or file it names, is not right; 130 interrupted by Ctrl-C."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (without the program's name; None: the process's own) and return its exit code.

    Results go to standard output, and one plain sentence per problem to standard error. Raises SystemExit, as argparse
    does, for `--help`, `--version` and a command line that is not right (code 2).
    """
    reuse_freed_memory()
    words = attached_targets(sys.argv[1:] if argv is None else argv)
    args = build_parser(words).parse_args(words)
    try:
        return int(args.run(args))
    except GeoExplainError as error:
        complain(str(error))
        return EXIT_USAGE
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough; Python would complain again while closing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except OSError as error:
        complain(f"{error.filename or 'geoexplain'}: {error.strerror or error}.")
        return EXIT_FAILED
    except KeyboardInterrupt:
        complain("interrupted.")
        return EXIT_INTERRUPTED


def build_parser(words: Sequence[str]) -> Parser:
    """The parser for a command line: every command with its line of help, the one that is given with its options."""
    chosen = next((word for word in words if not word.startswith("-")), None)
    parser = Parser(
        prog="geoexplain", description="Shows where a CNN thinks an image was taken, and why.", epilog=EPILOG
    )
    parser.add_argument("--version", action="version", version=f"geoexplain {geoexplain.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary)
        if name == chosen:
            importlib.import_module(f"geoexplain.cli.{name}").add_arguments(command)
    return parser


def attached_targets(words: Sequence[str]) -> list[str]:
    """A command line in which `--target -12.5,30` reads `--target=-12.5,30`: argparse would take it for an option.

    So does what follows any other of CELL_OPTIONS.
    """
    attached: list[str] = []
    for word in words:
        if attached and attached[-1] in CELL_OPTIONS and "--" not in attached and re.match(r"-[\d.]", word):
            attached[-1] += f"={word}"
        else:
            attached.append(word)
    return attached
