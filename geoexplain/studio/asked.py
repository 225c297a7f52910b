"""Validate the untrusted values that browsers and scripts send, and report refusals to them."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gradio as gr
from PIL import Image

from geoexplain.errors import GeoExplainError


def event_data(event: gr.EventData) -> Mapping[str, Any]:
    """Return the data that a script of the page sent with an event; empty unless it is an object."""
    sent = event._data  # Gradio has no public name for it
    return sent if isinstance(sent, Mapping) else {}


def number(value: Any) -> float:
    """Return a value as a number, which may be NaN or infinite. Raises gr.Error for anything else."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise gr.Error("Expected a number, got something else.", print_exception=False) from None


def whole_number(value: Any) -> int:
    """Return a value as an integer from −2³² to 2³². Raises gr.Error for anything else."""
    result = number(value)
    if not (math.isfinite(result) and abs(result) <= 2**32 and result == int(result)):
        raise gr.Error(f"Expected a whole number, got {value}.", print_exception=False)
    return int(result)


def still_shown(image: Image.Image | None, name: Any, asked: Mapping[str, Any]) -> Image.Image:
    """Return the page's image. Raises gr.Error without one, or if the page now has another model than in `asked`."""
    if image is None or asked.get("model", name) != name:
        raise gr.Error("This image or model is not shown any more: ask again.", print_exception=False)
    return image


@contextmanager
def refusals() -> Iterator[None]:
    """Turn a GeoExplainError into a gr.Error with the same message, which Gradio shows and does not log."""
    try:
        yield
    except GeoExplainError as error:
        raise gr.Error(str(error), print_exception=False) from None
