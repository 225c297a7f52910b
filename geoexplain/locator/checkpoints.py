"""Model files → GeoModel, strict on keys, shapes, dtypes and finiteness; and this project's own format.

The own format is one safetensors file (weights, fp16 or fp32; a JSON description in its metadata) beside one CSV
table of cells with the same stem.
"""

import csv
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from geoexplain.errors import CheckpointError, DataError
from geoexplain.geography.partition import Partition
from geoexplain.images import Preprocess
from geoexplain.locator.backbone import create_backbone
from geoexplain.locator.heads import VonMisesFisherHead
from geoexplain.locator.model import GeoModel, LocalizableRule, Network

FORMAT = "geoexplain/1"
DIRECTIONS = "head.mvmf.mus"
"""The cells' directions: in the table of cells, not among the weights."""

COLUMNS = ("label", "latitude", "longitude")
MAX_CELLS = 1_000_000
"""A table of cells is not read beyond this."""


def cells_file(weights: Path) -> Path:
    """The table of cells that belongs to a weights file: same stem, `.cells.csv`."""
    return weights.with_suffix(".cells.csv")


def save_geoexplain(network: nn.Module, description: Mapping[str, Any], partition: Partition, file: Path) -> None:
    """Write a model in this project's format: fp16 weights with their description, and the table of cells.

    `network` has a Network's parts. `description` needs name, title, purpose, architecture, size_px; rule and
    refine_km may be given. Directions of the cells are written once, in the table.
    """
    tensors = {key: _storable(value) for key, value in network.state_dict().items() if key != DIRECTIONS}
    save_file(tensors, file, metadata={"format": FORMAT, "description": json.dumps(dict(description))})
    partition.save(cells_file(file))


def _storable(value: Tensor) -> Tensor:
    value = value.detach().cpu().contiguous()
    if not value.is_floating_point():
        return value
    halved = value.half()
    # fp16 ends at 65,504; what lies beyond stays fp32, which the format allows for every tensor.
    return halved if torch.isfinite(halved).all() else value.float()


def load_geoexplain(file: Path, device: str | torch.device | None = None) -> GeoModel:
    """Read a model in this project's format.

    Everything is compared with what the described network expects before a weight is read. `device` None takes the
    GPU when there is one. Raises CheckpointError for a file that is missing, damaged, of another format, or does not
    fit; DataError for a bad table of cells.
    """
    if not file.is_file():
        raise CheckpointError(f"expected a model file at {file}, found none: check the path.")
    try:
        with safe_open(file, framework="pt") as weights:
            description = _description(file.name, weights.metadata() or {})
            partition = read_cells(cells_file(file), name=description["name"])
            with torch.device("meta"):  # shapes only: a description may name a network far larger than the file
                expected = _network(description, partition).state_dict()
            expected.pop(DIRECTIONS)
            slices = {key: weights.get_slice(key) for key in weights.keys()}  # noqa: SIM118 - not a dict
            found = {key: (tuple(part.get_shape()), part.get_dtype()) for key, part in slices.items()}
            _check_layout(file.name, expected, found)
            state = {key: weights.get_tensor(key) for key in expected}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{file.name}: expected a safetensors file, could not read it ({error}): get the file again."
        ) from error
    _check_finite(file.name, state)
    network = _network(description, partition)
    network.load_state_dict({**state, DIRECTIONS: network.state_dict()[DIRECTIONS]})
    return GeoModel(
        network.backbone,
        network.head,
        partition,
        Preprocess(size_px=description["size_px"]),
        name=description["name"],
        title=description["title"],
        purpose=description["purpose"],
        rule=LocalizableRule(**description["rule"]) if "rule" in description else None,
        refine_km=description.get("refine_km"),
        device=device,
    )


def describe(model: GeoModel) -> dict[str, Any]:
    """The description that `save_geoexplain` writes for a model."""
    return {
        "name": model.name,
        "title": model.title,
        "purpose": model.purpose,
        "architecture": model.backbone.architecture,
        "size_px": model.preprocess.size_px,
        "rule": asdict(model.rule),
        "refine_km": model.refine_km,
    }


def read_cells(file: Path, name: str) -> Partition:
    """Read a table of cells (CSV with the columns label, latitude, longitude) as the Partition `name`.

    Raises DataError for a file that is missing, is not such a table, or holds no cell or more than MAX_CELLS.
    """
    labels: list[str] = []
    centers: list[tuple[float, float]] = []
    try:
        with file.open(newline="", encoding="utf-8") as table:
            rows = csv.reader(table)
            header = next(rows, [])
            if not set(COLUMNS) <= set(header):
                raise DataError(
                    f"{file.name}: expected a CSV table with the columns {', '.join(COLUMNS)}, "
                    f"got {', '.join(header)[:200]!r}: is this another table?"
                )
            places = [header.index(column) for column in COLUMNS]
            for row in islice(filter(None, rows), MAX_CELLS + 1):
                label, center = _cell(row, places, f"{file.name}, line {rows.line_num}")
                labels.append(label)
                centers.append(center)
    except FileNotFoundError:
        raise DataError(
            f"expected the table of cells {file.name} beside the weights, found none: put it there."
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{file.name}: expected a CSV table in UTF-8, could not read it ({error}): get the file again."
        ) from error
    if len(labels) > MAX_CELLS:
        raise DataError(f"{file.name}: expected at most {MAX_CELLS} cells, got more: is this another table?")
    return Partition(name, tuple(labels), np.array(centers, dtype=np.float64).reshape(-1, 2))


def _cell(row: list[str], places: list[int], where: str) -> tuple[str, tuple[float, float]]:
    try:
        label, lat, lon = (row[place] for place in places)
        return label, (float(lat), float(lon))
    except (IndexError, ValueError):
        raise DataError(
            f"{where}: expected a label, a latitude and a longitude in degrees, got {', '.join(row)[:200]!r}: "
            "correct the line."
        ) from None


def _network(description: Mapping[str, Any], partition: Partition) -> Network:
    backbone = create_backbone(description["architecture"])
    return Network(backbone, VonMisesFisherHead(backbone.feature_dim, torch.from_numpy(partition.centers_deg)))


def _is_number(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and low <= value <= high


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_rule(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"scale_km", "threshold"}
        and _is_number(value["scale_km"], 0, 20_100)
        and _is_number(value["threshold"], 0, 1)
    )


FIELDS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "name": ("text", _is_text),
    "title": ("text", _is_text),
    "purpose": ("text", _is_text),
    "architecture": ("text", _is_text),
    "size_px": ("a whole number from 32 to 1024", lambda value: type(value) is int and 32 <= value <= 1024),
    "rule": ("a scale_km from 0 to 20,100 and a threshold from 0 to 1", _is_rule),
    "refine_km": ("null or a number from 0 to 20,100", lambda value: value is None or _is_number(value, 0, 20_100)),
}
"""What a description may hold: key → what to say is expected, and the test of it."""

OPTIONAL = ("rule", "refine_km")


def _description(file: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{file}: expected a geoexplain model (format {FORMAT!r} in its metadata), "
            f"got {metadata.get('format', 'no format')[:40]!r}: is this a model of another kind?"
        )
    try:
        description = json.loads(metadata.get("description", ""))
    except (ValueError, RecursionError):  # the latter from brackets within brackets
        description = None
    if not isinstance(description, dict):
        raise CheckpointError(f"{file}: expected a JSON description in its metadata, got none: get the file again.")
    for key, (wanted, test) in FIELDS.items():
        if key not in description:
            if key not in OPTIONAL:
                raise CheckpointError(f"{file}: expected {key!r} in its description, got none: get the file again.")
        elif not test(description[key]):
            raise CheckpointError(
                f"{file}: expected {key!r} in its description to be {wanted}, "
                f"got {str(description[key])[:100]!r}: get the file again."
            )
    return description


def _check_layout(file: str, expected: Mapping[str, Tensor], found: Mapping[str, tuple[tuple[int, ...], str]]) -> None:
    differences = [f"key {key!r} is missing" for key in expected if key not in found]
    differences += [f"unexpected key {key!r}" for key in found if key not in expected]
    for key in expected.keys() & found.keys():
        shape, dtype = found[key]
        wanted = expected[key]
        dtypes = ("F16", "F32") if wanted.is_floating_point() else ("I64",)
        if shape != tuple(wanted.shape):
            differences.append(f"key {key!r} has shape {shape}, expected {tuple(wanted.shape)}")
        elif dtype not in dtypes:
            differences.append(f"key {key!r} has type {dtype}, expected {' or '.join(dtypes)}")
    if differences:
        more = f" and {len(differences) - 5} more" if len(differences) > 5 else ""
        shown = "; ".join(difference[:300] for difference in sorted(differences)[:5])
        raise CheckpointError(f"{file}: {shown}{more}: is this the file of another model?")


def _check_finite(file: str, state: Mapping[str, Tensor]) -> None:
    for key, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise CheckpointError(f"{file}: key {key!r} holds NaN or infinite values: get the file again.")
