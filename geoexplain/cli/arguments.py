"""Parser, option types and error output that several commands share."""

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from geoexplain.errors import DataError
from geoexplain.locator.zoo import BUNDLED, load_model
from geoexplain.words import printable_lines

if TYPE_CHECKING:
    import torch

    from geoexplain.locator.model import GeoModel

T = TypeVar("T")


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that keeps the line breaks of its texts and reports an error in one sentence."""

    def __init__(self, **options: Any):
        # An abbreviation that works today would become ambiguous once a new option starts the same way.
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def _get_option_tuples(self, option_string: str) -> list[Any]:
        # argparse still completes -combi to -combicam; only an option joined with its value, such as -k5, is accepted.
        return [match for match in super()._get_option_tuples(option_string) if option_string.startswith(match[1])]

    def error(self, message: str) -> NoReturn:
        """Print the message in one sentence, without the usage text, and exit with code 2."""
        complain(f"{message} (see {self.prog} --help)")
        self.exit(2)


def complain(sentence: str) -> None:
    """Print one sentence to standard error, after the program's name."""
    print(f"geoexplain: {printable_lines(sentence)}", file=sys.stderr)


def add_images(parser: argparse.ArgumentParser) -> None:
    """Add the argument for one or more images."""
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="JPEG, PNG, WebP, GIF or AVIF file; put -- before a name that starts with a hyphen",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the model and the device that runs it."""
    parser.add_argument(
        "--model",
        default=BUNDLED,
        metavar="NAME|PATH",
        help="a model that `geoexplain models` lists, or the path of a .safetensors file (default: %(default)s)",
    )
    parser.add_argument(
        "--hierarchy",
        action=argparse.BooleanOptionalAction,
        help="multiply a cell's probability by those of the coarser cells that contain it, and scale the products to a "
        "sum of 1 (f*), or use it alone (f); for models with several partitionings (default: as published)",
    )
    add_device(parser)


def chosen_model(args: argparse.Namespace) -> "GeoModel":
    """Load the model that the options of `add_model` name; report when its gate cannot be used.

    Raises CheckpointError when the model does not exist.
    """
    model = load_model(args.model, args.device, hierarchical=args.hierarchy)
    if model.ungated:
        complain(
            f"{model.name} answers without its gate, which would recognise images of another kind. {model.ungated}"
        )
    return model


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the option that chooses the device."""
    parser.add_argument(
        "--device", type=device, metavar="DEVICE", help="cpu, cuda, mps, … (default: the GPU when there is one)"
    )


def device(text: str) -> "torch.device":
    """Parse the name of a device that works on this machine; raise ArgumentTypeError for any other."""
    import torch  # noqa: PLC0415 - takes seconds, and `--help` does not need it

    try:
        chosen = torch.device(text)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise argparse.ArgumentTypeError(f"expected a device of this machine, such as cpu, got {text!r}") from None
    return chosen


def number(kind: Callable[[str], T], low: float, high: float, what: str) -> Callable[[str], T]:
    """Return an argparse type for numbers from `low` to `high`, both included.

    It raises ArgumentTypeError for any other text; `what` describes the expected value.
    """

    def parse(text: str) -> T:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:  # type: ignore[operator]
            raise argparse.ArgumentTypeError(f"expected {what}, got {text!r}")
        return value

    return parse


count = number(int, 1, 10**9, "a whole number of at least 1")


def numbers(text: str, kind: Callable[[str], T], option: str, example: str) -> tuple[T, ...]:
    """Parse comma-separated numbers, such as the value of `--weights`; raise DataError for anything else."""
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        raise DataError(f"{option}: expected numbers such as {example}, got {text!r}.") from None
