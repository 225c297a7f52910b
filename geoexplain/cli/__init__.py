"""The command line: one module per command, imported only when that command runs.

Training therefore runs without Gradio, and locating without the map library, even where they are not installed.
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
    "concepts": "measure which concepts in an image an explanation marks: coast, ice, a tower",
    "evaluate": "measure how accurate and how well calibrated a model is, and how faithful its explanations are",
    "tune": "search for weights of Combi-CAM, and measure what they gain",
    "practice": "make a set of positions and photos to practise training on",
    "addresses": "list the places that contain each of many coordinates",
    "partition": "build the cells that a model is trained on, or inspect them",
    "train": "train a model, or release a trained one",
    "models": "list the models, add one, remove one",
    "gallery": "collect the photos that Search within Cell looks through",
    "inference": "the original inference.py's options and pictures",
    "studio": "serve the studio: everything in a browser",
}
"""Command → its line of help. Each command is the module of the same name in this package."""

CELL_OPTIONS = ("--target", "--against", "--position")
"""Options whose value is a cell or a position, so that it may start with a negative latitude."""

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130

EPILOG = """\
Exit codes: 0 success; 1 some images failed, or a file could not be written; 2 nothing was started, because the
command line is wrong, or a model or file that it names cannot be used; 130 interrupted by Ctrl-C."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    `argv` excludes the program's name; None takes the arguments of this process. Results go to standard output, and one
    plain sentence per problem to standard error. Raises SystemExit, as argparse does, for `--help`, `--version` and an
    invalid command line (code 2).
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
        # The reader, such as `head`, has closed the pipe; without this Python would report it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except OSError as error:
        complain(f"{error.filename or 'geoexplain'}: {error.strerror or error}.")
        return EXIT_FAILED
    except KeyboardInterrupt:
        complain("interrupted.")
        return EXIT_INTERRUPTED


def build_parser(words: Sequence[str]) -> Parser:
    """Build the parser for a command line: all commands with their line of help, the given one with its options."""
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
    """Rewrite `--target -12.5,30` as `--target=-12.5,30`, since argparse would take the value for an option.

    The values of all CELL_OPTIONS are rewritten.
    """
    attached: list[str] = []
    for word in words:
        if attached and attached[-1] in CELL_OPTIONS and "--" not in attached and re.match(r"-[\d.]", word):
            attached[-1] += f"={word}"
        else:
            attached.append(word)
    return attached
