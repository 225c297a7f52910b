"""What a browser or a script sends, taken for nothing until it is checked; and how a refusal is said to it."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gradio as gr
from PIL import Image

from geoexplain.errors import GeoExplainError


def event_data(event: gr.EventData) -> Mapping[str, Any]:
    """What a script of the page sent with an event; empty unless it is a record of names and values."""
    sent = event._data  # Gradio has no public name for it
    return sent if isinstance(sent, Mapping) else {}


def number(value: Any) -> float:
    """A number, NaN and infinity among them. Raises gr.Error for anything else."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise gr.Error("Expected a number, got something else.", print_exception=False) from None


def whole_number(value: Any) -> int:
    """A whole number of at most 2**32 either way. Raises gr.Error for anything else."""
    found = number(value)
    if not (math.isfinite(found) and abs(found) <= 2**32 and found == int(found)):
        raise gr.Error(f"Expected a whole number, got {value}.", print_exception=False)
    return int(found)


def still_shown(image: Image.Image | None, name: Any, asked: Mapping[str, Any]) -> Image.Image:
    """The page's image. Raises gr.Error for none, and if `asked` is about another model than the page has by now."""
    if image is None or asked.get("model", name) != name:
        raise gr.Error("What was asked about is not shown any more: ask again.", print_exception=False)
    return image


@contextmanager
def refusals() -> Iterator[None]:
    """What is refused with a GeoExplainError in here is said in its words, as a gr.Error, and nothing is logged."""
    try:
        yield
    except GeoExplainError as error:
        raise gr.Error(str(error), print_exception=False) from None
