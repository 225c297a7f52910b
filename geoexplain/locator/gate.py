"""The gate decides whether an image is of the kind that a model knows, from statistics of the model's stages.

The last layers of a geolocation model map every image to some place and no longer distinguish a photo from a view of
Earth. Means and standard deviations of channels in earlier stages do, and the forward pass computes these stages
anyway. A gate is a logistic regression on these statistics, in an untrusted file next to the weights.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoexplain.errors import CheckpointError, DataError
from geoexplain.files.reading import read_bytes
from geoexplain.locator.shards import weights_sha256
from geoexplain.words import printable

FORMAT = "geoexplain-gate/1"
LARGEST_BYTES = 2**20
LONGEST_TEXT = 1000

SMALLEST_DEVIATION = 1e-4
"""Added to a channel's deviation before the logarithm, since the deviation of a uniform picture is 0."""


def channel_statistics(activations: Sequence[Tensor]) -> Tensor:
    """Compute a gate's input: mean and log standard deviation over h × w of every channel of some stages' outputs.

    activations  (N, C_s, h_s, w_s) of each stage → float32 (N, 2 ΣC_s): for each stage the means, then the deviations
    """
    parts = []
    for activation in activations:
        deviation, mean = torch.std_mean(activation.float(), dim=(2, 3), correction=0)
        parts += [mean, torch.log(deviation + SMALLEST_DEVIATION)]
    return torch.cat(parts, dim=1)


@dataclass(frozen=True, eq=False)
class Gate:
    """Classifier of images that a model knows and others.

    stages     stages whose outputs are used, counted from 1, ascending
    weights    float32 (F,), coefficients of the channel statistics of these stages
    bias       intercept of the logistic regression
    threshold  least score of an accepted image, in [0, 1]
    kind       kind of image that the model knows: "a view of Earth from above"
    fitted_on  description of the images that it was fitted on
    figures    results on other images: name → share or count
    """

    stages: tuple[int, ...]
    weights: NDArray[np.float32] = field(repr=False)
    bias: float
    threshold: float
    kind: str
    fitted_on: str
    figures: Mapping[str, float]

    def score(self, statistics: Tensor) -> float:
        """Compute the score, in [0, 1], of the statistics of one image (F,), or of n crops of one image (n, F).

        For several crops, the mean before the logistic function is used. Raises DataError for statistics of another
        network, or if they are not finite.
        """
        rows = statistics.detach().cpu().double().numpy().reshape(-1, statistics.shape[-1])
        if rows.shape[1] != len(self.weights):
            raise DataError(
                f"gate: expected {len(self.weights)} statistics per image, got {rows.shape[1]}: is the gate of another "
                "model?"
            )
        if not np.isfinite(rows).all():
            raise DataError("gate: expected finite statistics, got infinite ones or NaN: are the weights damaged?")
        return float(1 / (1 + np.exp(-np.clip((rows @ self.weights + self.bias).mean(), -700, 700))))

    def fingerprint(self) -> str:
        """Return the hexadecimal SHA-256 of the parameters that decide whether an image is accepted."""
        decides = [self.stages, [float(weight) for weight in self.weights], float(self.bias), float(self.threshold)]
        return hashlib.sha256(json.dumps(decides).encode()).hexdigest()

    def accepts(self, score: float) -> bool:
        """Return whether an image with this score is accepted."""
        return score >= self.threshold


def gate_file(weights_file: Path) -> Path:
    """Return the path of the gate of a model file: NAME.safetensors → NAME.gate.json."""
    return weights_file.with_suffix(".gate.json")


def write_gate(gate: Gate, weights_file: Path) -> Path:
    """Write a gate next to the model in `weights_file`, with the digest of the weights; return the gate's path.

    Raises OSError if a file cannot be read or written.
    """
    data = {
        "format": FORMAT,
        "weights_sha256": weights_sha256(weights_file),
        "kind": gate.kind,
        "fitted_on": gate.fitted_on,
        "figures": dict(gate.figures),
        "threshold": gate.threshold,
        "stages": list(gate.stages),
        "bias": round(gate.bias, 5),
        "weights": [float(f"{weight:.4g}") for weight in gate.weights],
    }
    file = gate_file(weights_file)
    lines = [f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in data.items()]
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return file


def load_gate(weights_file: Path, channels: Sequence[int]) -> tuple[Gate | None, str]:
    """Load the gate next to a model file; if that fails, return None and a sentence with the reason.

    `channels` are the numbers of channels of the model's stages. Without a file, the sentence is empty.
    """
    file = gate_file(weights_file)
    if not file.is_file():
        return None, ""
    try:
        return read_gate(file, weights_file, channels), ""
    except CheckpointError as error:
        return None, str(error)


def read_gate(file: Path, weights_file: Path, channels: Sequence[int]) -> Gate:
    """Read the gate of the model in `weights_file`, whose stages have these numbers of `channels`.

    Raises CheckpointError if the file cannot be read, is invalid, or belongs to another model.
    """
    try:
        data = json.loads(read_bytes(file, LARGEST_BYTES).decode("utf-8"))
    except DataError as error:
        raise CheckpointError(str(error)) from None
    except (ValueError, RecursionError):  # RecursionError: deeply nested brackets
        data = None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise CheckpointError(f"{file.name}: expected a gate (format {FORMAT!r}), got another kind of file: fit again.")
    if problem := _problem(data, len(channels)):
        raise CheckpointError(f"{file.name}: expected {problem}: fit the gate again.")
    expected = 2 * sum(channels[stage - 1] for stage in data["stages"])
    if len(data["weights"]) != expected:
        raise CheckpointError(
            f"{file.name}: expected {expected} weights for stages {data['stages']}, got {len(data['weights'])}: "
            "is the gate of another model? Fit the gate again."
        )
    if data["weights_sha256"] != weights_sha256(weights_file):
        raise CheckpointError(
            f"{file.name}: expected a gate fitted for the present version of {weights_file.name}, got one for another "
            "version: fit it again."
        )
    return Gate(
        stages=tuple(data["stages"]),
        weights=np.array(data["weights"], dtype=np.float32),
        bias=float(data["bias"]),
        threshold=float(data["threshold"]),
        kind=data["kind"],
        fitted_on=data["fitted_on"],
        figures=data["figures"],
    )


def _problem(data: Mapping[str, Any], stages: int) -> str:
    """Describe the first invalid value in a gate's data and what was expected; "" if all are valid."""
    number, read = (int, float), data.get("stages")
    if not (isinstance(read, list) and read and all(type(s) is int and 1 <= s <= stages for s in read)):
        return f"'stages' from 1 to {stages}, got {printable(str(read))!r}"
    if sorted(set(read)) != read:
        return f"'stages' in ascending order, got {printable(str(read))!r}"
    weights = data.get("weights")
    if not (isinstance(weights, list) and all(type(w) in number and abs(w) < 1e6 for w in weights)):
        return "'weights' to be finite numbers"
    for key, low, high in (("bias", -1e6, 1e6), ("threshold", 0.0, 1.0)):
        value: Any = data.get(key)
        if not (type(value) in number and low <= value <= high):
            return f"{key!r} to be a number from {low:g} to {high:g}, got {printable(str(value))!r}"
    for key in ("kind", "fitted_on", "weights_sha256"):
        text = data.get(key)
        if not (isinstance(text, str) and text.isprintable() and 0 < len(text) <= LONGEST_TEXT):
            return f"{key!r} to be a line of at most {LONGEST_TEXT:,} letters, got {printable(str(text))!r}"
    figures: Any = data.get("figures")
    named = isinstance(figures, dict) and len(figures) <= 100
    named = named and all(len(name) <= 100 and name.isprintable() for name in figures)
    if not (named and all(type(value) in number and abs(value) < 1e9 for value in figures.values())):
        return "'figures' to be numbers by name"
    return ""
