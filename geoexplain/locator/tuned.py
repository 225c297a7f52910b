"""Combi-CAM weights that were tuned for a model, in an untrusted file next to the model's weights."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from geoexplain.errors import CheckpointError, DataError
from geoexplain.files.reading import read_bytes
from geoexplain.locator.shards import weights_sha256

FORMAT = "geoexplain-tuned/1"

LARGEST_BYTES = 2**16
LONGEST_TEXT = 1000
NAME = re.compile(r"[a-z0-9+-]{1,40}")
LARGEST_WEIGHT = 2.0
"""Upper end of the studio's sliders."""

TUNED_LEVELS = ("stage", "block")
TUNED_SCORES = ("probability", "logit")
"""Names of levels and scores. They repeat those of the explainer, which this package may not import; a test compares
them. Names of methods and combinations are checked by the explainer."""


@dataclass(frozen=True)
class Interval:
    """A mean over images with its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class HeldOut:
    """Results of tuned weights on images that they were not tuned on.

    on         description of the images
    images     number of images
    objective  the metric and its number of steps
    value      result of the tuned weights
    gains      name of another explanation or a baseline → mean paired difference of the tuned weights from it
    """

    on: str
    images: int
    objective: str
    value: Interval
    gains: Mapping[str, Interval]


@dataclass(frozen=True)
class StageWeights:
    """A Combi-CAM that was tuned for a model.

    method, level, score, how  names in the explainer's tables; its tuned_weights() refuses unknown ones
    weights                    one per stage or block, in order from the input, in [0, 2]
    objective                  the metric that was optimised and its number of steps
    tuned_on                   description of the images for tuning
    images                     number of these images
    held_out                   results on other images; None: not measured
    cross_check                results by a metric that was not optimised; None: not measured
    """

    method: str
    level: str
    score: str
    how: str
    weights: tuple[float, ...]
    objective: str
    tuned_on: str
    images: int
    held_out: HeldOut | None = field(default=None, repr=False)
    cross_check: HeldOut | None = field(default=None, repr=False)


def tuned_file(weights_file: Path) -> Path:
    """Return the path of the tuned weights of a model file: NAME.safetensors → NAME.tuned.json."""
    return weights_file.with_suffix(".tuned.json")


def write_tuned(file: Path, tuned: StageWeights, weights_file: Path) -> None:
    """Write tuned weights for the model in `weights_file`, with the digest of that file.

    Raises OSError if a file cannot be read or written.
    """
    data = {"format": FORMAT, "weights_sha256": weights_sha256(weights_file), **asdict(tuned)}
    file.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load_tuned(weights_file: Path, counts: Mapping[str, int]) -> tuple[StageWeights | None, str]:
    """Load the tuned weights next to a model file; if that fails, return None and a sentence with the reason.

    `counts` is the number of maps of the model at each level. Without a file, the sentence is empty.
    """
    file = tuned_file(weights_file)
    if not file.is_file():
        return None, ""
    try:
        return read_tuned(file, weights_file, counts), ""
    except CheckpointError as error:
        return None, str(error)


def read_tuned(file: Path, weights_file: Path, counts: Mapping[str, int]) -> StageWeights:
    """Read tuned weights for the model in `weights_file`; `counts` is its number of maps at each level.

    Raises CheckpointError if the file cannot be read, is invalid, or belongs to another model.
    """
    try:
        data = json.loads(read_bytes(file, LARGEST_BYTES).decode("utf-8"))
    except DataError as error:
        raise CheckpointError(str(error)) from None
    except (ValueError, RecursionError):  # RecursionError: deeply nested brackets
        data = None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise CheckpointError(
            f"{file.name}: expected tuned weights (format {FORMAT!r}), got another kind of file: tune again."
        )
    _check(file.name, data, FIELDS)
    data.setdefault("cross_check", None)  # missing in the first files of this format
    _check(file.name, data, {"cross_check": FIELDS["held_out"]})
    for key in ("held_out", "cross_check"):
        if data[key] is not None:
            _check(file.name, data[key], HELD_OUT_FIELDS)
    if len(data["weights"]) != counts[data["level"]]:
        raise CheckpointError(
            f"{file.name}: expected {counts[data['level']]} weights, one per {data['level']} of the model, "
            f"got {len(data['weights'])}: are these of another model? Tune again."
        )
    if data["weights_sha256"] != weights_sha256(weights_file):
        raise CheckpointError(
            f"{file.name}: expected weights tuned for the present version of {weights_file.name}, got some for "
            "another version: tune again."
        )
    held_out, cross_check = (data[key] and _held_out(data[key]) for key in ("held_out", "cross_check"))
    return StageWeights(
        **{name: data[name] for name in ("method", "level", "score", "how", "objective", "tuned_on", "images")},
        weights=tuple(float(weight) for weight in data["weights"]),
        held_out=held_out,
        cross_check=cross_check,
    )


def _held_out(data: Mapping[str, Any]) -> HeldOut:
    return HeldOut(
        data["on"],
        data["images"],
        data["objective"],
        Interval(**data["value"]),
        {name: Interval(**gain) for name, gain in data["gains"].items()},
    )


def _is_number(value: object, low: float, high: float) -> bool:
    return type(value) in {int, float} and low <= value <= high  # type: ignore[operator]  # false for NaN


def _is_text(value: object) -> bool:
    # Unprintable text, such as half of a surrogate pair, cannot be encoded for a browser.
    return isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT and value.isprintable()


def _is_count(value: object) -> bool:
    return type(value) is int and 1 <= value <= 10**9


def _is_interval(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"mean", "low", "high"}
        and all(_is_number(one, -100, 100) for one in value.values())
    )


def _is_gains(value: object) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= 100
        and all(_is_text(name) and _is_interval(gain) for name, gain in value.items())
    )


def _are_weights(value: object) -> bool:
    return (
        isinstance(value, list)
        and all(_is_number(weight, 0, LARGEST_WEIGHT) for weight in value)
        and any(weight > 0 for weight in value)
    )


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


Field = tuple[str, Callable[[object], bool]]

_TEXT: Field = (f"a line of at most {LONGEST_TEXT:,} letters", _is_text)
_COUNT: Field = ("a whole number from 1 to a billion", _is_count)


_NAME: Field = (
    "a name of small letters, digits, + and -",
    lambda value: isinstance(value, str) and bool(NAME.fullmatch(value)),
)


def _one_of(known: tuple[str, ...]) -> Field:
    return f"one of {', '.join(known)}", lambda value: isinstance(value, str) and value in known


FIELDS: dict[str, Field] = {
    "format": _one_of((FORMAT,)),
    "weights_sha256": ("a SHA-256 digest in hexadecimal", _is_digest),
    "method": _NAME,
    "level": _one_of(TUNED_LEVELS),
    "score": _one_of(TUNED_SCORES),
    "how": _NAME,
    "weights": (f"numbers from 0 to {LARGEST_WEIGHT:g}, one of them above 0", _are_weights),
    "objective": _TEXT,
    "tuned_on": _TEXT,
    "images": _COUNT,
    "held_out": ("null or an object", lambda value: value is None or isinstance(value, dict)),
}
"""Fields of a file of tuned weights: key → (description of valid values for messages, validator)."""

HELD_OUT_FIELDS: dict[str, Field] = {
    "on": _TEXT,
    "images": _COUNT,
    "objective": _TEXT,
    "value": ("a mean with its interval", _is_interval),
    "gains": ("means with their intervals by name", _is_gains),
}


def _check(file: str, data: Mapping[str, Any], fields: Mapping[str, Field]) -> None:
    for key, (wanted, test) in fields.items():
        if key not in data:
            raise CheckpointError(f"{file}: expected {key!r}, got none: tune again.")
        if not test(data[key]):
            raise CheckpointError(f"{file}: expected {key!r} to be {wanted}, got {str(data[key])[:100]!r}: tune again.")
