"""Weights of Combi-CAM that were tuned for a model: a file beside its weights, which nobody vouches for."""

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
"""As far as the studio's sliders go."""

TUNED_LEVELS = ("stage", "block")
TUNED_SCORES = ("probability", "logit")
"""The names that the explainer gives to levels and scores. It comes after this wing, so that they stand here once more;
a test holds both together. Which CAM methods and ways of combining there are only its tables say."""


@dataclass(frozen=True)
class Interval:
    """A mean over images, and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class HeldOut:
    """How tuned weights do on images that they were not tuned on.

    on         which images, in words
    images     how many
    objective  what was measured, with its steps
    value      of the tuned weights
    gains      name of another explanation or a baseline → mean by which the tuned weights exceed it, image by image
    """

    on: str
    images: int
    objective: str
    value: Interval
    gains: Mapping[str, Interval]


@dataclass(frozen=True)
class StageWeights:
    """A Combi-CAM that was tuned for a model.

    method, level, score, how  names as the explainer has them; tuned_weights() there refuses what it does not know
    weights                    one per stage or block, from the input on, in [0, 2]
    objective                  what they were tuned for, with its steps
    tuned_on                   what on, in words
    images                     how many images that were
    held_out                   how they do on others; None if that was not measured
    cross_check                the same by a measure that they were not tuned for; None likewise
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


def sidecar(weights_file: Path) -> Path:
    """Where the tuned weights of a model file are: NAME.safetensors → NAME.tuned.json."""
    return weights_file.with_suffix(".tuned.json")


def write_tuned(file: Path, tuned: StageWeights, weights_file: Path) -> None:
    """Write tuned weights for the model in `weights_file`, by whose digest they are bound to it.

    Raises what the system raises when a file cannot be read or written.
    """
    data = {"format": FORMAT, "weights_sha256": weights_sha256(weights_file), **asdict(tuned)}
    file.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def tuned_beside(weights_file: Path, counts: Mapping[str, int]) -> tuple[StageWeights | None, str]:
    """The tuned weights beside a model file, or None and a sentence that says why there are none to use.

    `counts` says how many maps the model has at each level.
    """
    file = sidecar(weights_file)
    if not file.is_file():
        return None, ""
    try:
        return read_tuned(file, weights_file, counts), ""
    except CheckpointError as error:
        return None, str(error)


def read_tuned(file: Path, weights_file: Path, counts: Mapping[str, int]) -> StageWeights:
    """Read tuned weights for the model in `weights_file`; `counts` says how many maps it has at each level.

    Raises CheckpointError for a file that cannot be read, says nonsense, or belongs to another model.
    """
    try:
        data = json.loads(read_bytes(file, LARGEST_BYTES).decode("utf-8"))
    except DataError as error:
        raise CheckpointError(str(error)) from None
    except (ValueError, RecursionError):  # the latter from brackets within brackets
        data = None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise CheckpointError(
            f"{file.name}: expected tuned weights (format {FORMAT!r}), got another kind of file: tune again."
        )
    _check(file.name, data, FIELDS)
    data.setdefault("cross_check", None)  # which the first files of this format had not
    _check(file.name, data, {"cross_check": FIELDS["held_out"]})
    for key in ("held_out", "cross_check"):
        if data[key] is not None:
            _check(file.name, data[key], HELD_OUT_FIELDS)
    if len(data["weights"]) != counts[data["level"]]:
        raise CheckpointError(
            f"{file.name}: expected {counts[data['level']]} weights, one per {data['level']} of the model, "
            f"got {len(data['weights'])}: is it another model's? Tune again."
        )
    if data["weights_sha256"] != weights_sha256(weights_file):
        raise CheckpointError(
            f"{file.name}: expected weights tuned for {weights_file.name} as it is, got some for another version of "
            "it: tune again."
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
    # What cannot be shown could not be sent to a browser either, with all that it is among.
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
"""What a file of tuned weights holds: key → what to say is expected, and the test of it."""

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
