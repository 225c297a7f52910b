"""Read and validate the description of a model in the metadata of an untrusted geoexplain file."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from geoexplain.errors import CheckpointError

FORMAT = "geoexplain/1"

LONGEST_TEXT = 1000
"""Maximum number of characters in a name, a title or a purpose."""


def _is_number(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and low <= value <= high  # false for NaN


def _is_text(value: object) -> bool:
    # Unprintable text, such as half of a surrogate pair, cannot be encoded for a browser.
    return isinstance(value, str) and len(value) <= LONGEST_TEXT and value.isprintable()


def _is_triple(value: object, low: float, high: float) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(_is_number(one, low, high) for one in value)


def _is_rule(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"scale_km", "threshold"}
        and _is_number(value["scale_km"], 0, 20_100)
        and _is_number(value["threshold"], 0, 1)
    )


def _is_whole(value: object, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _is_head(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"kind", "levels", "product"}
        and value["kind"] == "multi-partition"
        and _is_whole(value["levels"], 1, 8)
        and isinstance(value["product"], bool)
    )


FIELDS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "name": (f"a line of at most {LONGEST_TEXT:,} letters", _is_text),
    "title": (f"a line of at most {LONGEST_TEXT:,} letters", _is_text),
    "purpose": (f"a line of at most {LONGEST_TEXT:,} letters", _is_text),
    "architecture": (f"a line of at most {LONGEST_TEXT:,} letters", _is_text),
    "size_px": ("a whole number from 32 to 1024", lambda value: _is_whole(value, 32, 1024)),
    "mean": ("three numbers from 0 to 1", lambda value: _is_triple(value, 0, 1)),
    "std": ("three numbers from 0.001 to 1", lambda value: _is_triple(value, 0.001, 1)),
    "bn_eps": ("a number from 1e-9 to 1", lambda value: _is_number(value, 1e-9, 1)),
    "padding_for_px": ("a whole number from 32 to 1024", lambda value: _is_whole(value, 32, 1024)),
    "max_aspect": ("a number from 1 to 10", lambda value: _is_number(value, 1, 10)),
    "crop_from_px": ("a whole number from 32 to 2048", lambda value: _is_whole(value, 32, 2048)),
    "head": ("a kind of multi-partition, levels from 1 to 8 and whether they make a product", _is_head),
    "embedding": ("a whole number from 1 to 65,536", lambda value: _is_whole(value, 1, 65_536)),
    "rule": ("a scale_km from 0 to 20,100 and a threshold from 0 to 1", _is_rule),
    "refine_km": ("null or a number from 0 to 20,100", lambda value: value is None or _is_number(value, 0, 20_100)),
    "sigma_km": ("a number from 0.001 to 20,100", lambda value: _is_number(value, 0.001, 20_100)),
}
"""Fields of a description: key → (description of valid values for messages, validator)."""

NEEDED = ("name", "title", "purpose", "architecture", "size_px")


def read_description(file: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Read the description from a safetensors file's metadata. Raises CheckpointError if it is missing or invalid."""
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{file}: expected a geoexplain model (format {FORMAT!r} in its metadata), "
            f"got {metadata.get('format', 'no format')[:40]!r}: is this a model of another kind?"
        )
    try:
        description = json.loads(metadata.get("description", ""))
    except (ValueError, RecursionError):  # RecursionError: deeply nested brackets
        description = None
    if not isinstance(description, dict):
        raise CheckpointError(f"{file}: expected a JSON description in its metadata, got none: get the file again.")
    for key, (expected, is_valid) in FIELDS.items():
        if key not in description:
            if key in NEEDED:
                raise CheckpointError(f"{file}: expected {key!r} in its description, got none: get the file again.")
        elif not is_valid(description[key]):
            raise CheckpointError(
                f"{file}: expected {key!r} in its description to be {expected}, "
                f"got {str(description[key])[:100]!r}: get the file again."
            )
    return description
