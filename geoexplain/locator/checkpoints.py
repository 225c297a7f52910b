"""Model files → GeoModel, strict on keys, shapes, dtypes and finiteness; and this project's own format.

The own format is one safetensors file (weights, fp16 or fp32; a JSON description in its metadata) beside one CSV
table of cells with the same stem.
"""

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from geoexplain.errors import CheckpointError, DataError
from geoexplain.geography.partition import Partition
from geoexplain.images import Preprocess
from geoexplain.locator.backbone import create_backbone
from geoexplain.locator.heads import VonMisesFisherHead
from geoexplain.locator.model import GeoModel, LocalizableRule, Network

FORMAT = "geoexplain/1"
DTYPES = {"F16": torch.float16, "F32": torch.float32, "I64": torch.int64}


def cells_file(weights: Path) -> Path:
    """The table of cells that belongs to a weights file: same stem, `.cells.csv`."""
    return weights.with_suffix(".cells.csv")


def save_geoexplain(network: Network, description: Mapping[str, Any], partition: Partition, file: Path) -> None:
    """Write a model in this project's format: fp16 weights with their description, and the table of cells.

    `description` needs name, title, purpose, architecture, size_px; rule and refine_km may be given. Directions of
    the cells are written once, in the table.
    """
    tensors = {
        key: (value.half() if value.is_floating_point() else value).cpu().contiguous()
        for key, value in network.state_dict().items()
        if key != "head.mvmf.mus"
    }
    save_file(tensors, file, metadata={"format": FORMAT, "description": json.dumps(dict(description))})
    partition.save(cells_file(file))


def load_geoexplain(file: Path, device: str | torch.device | None = None) -> GeoModel:
    """Read a model in this project's format.

    Everything is compared with what the described network expects before a weight is copied. Raises CheckpointError
    for a file that is missing, damaged, of another format, or does not fit; DataError for a bad table of cells.
    """
    if not file.is_file():
        raise CheckpointError(f"expected a model file at {file}, found none.")
    try:
        with safe_open(file, framework="pt") as weights:
            metadata = weights.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise CheckpointError(
                    f"{file.name}: expected a geoexplain model (format {FORMAT!r} in its metadata), "
                    f"got {metadata.get('format')!r}."
                )
            description = _description(file, metadata)
            partition = read_cells(cells_file(file), name=description["name"])
            backbone = create_backbone(description["architecture"])
            head = VonMisesFisherHead(backbone.feature_dim, torch.from_numpy(partition.centers_deg))
            network = Network(backbone, head)
            expected = {key: value for key, value in network.state_dict().items() if key != "head.mvmf.mus"}
            found = {
                key: (tuple(weights.get_slice(key).get_shape()), weights.get_slice(key).get_dtype())
                for key in weights.keys()  # noqa: SIM118 - not a dict
            }
            _check_layout(file, expected, found)
            state = {key: weights.get_tensor(key) for key in expected}
    except SafetensorError as error:
        raise CheckpointError(f"{file.name}: expected a safetensors file, could not read it ({error}).") from error
    _check_finite(file, state)
    network.load_state_dict({**state, "head.mvmf.mus": head.mvmf.mus})
    return GeoModel(
        backbone,
        head,
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
    """Read a table of cells (CSV with label, latitude, longitude) as a Partition; raises DataError when it is not one."""
    try:
        with file.open(newline="", encoding="utf-8") as table:
            rows = list(csv.DictReader(table))
        labels = tuple(row["label"] for row in rows)
        centers = np.array([[float(row["latitude"]), float(row["longitude"])] for row in rows]).reshape(-1, 2)
    except FileNotFoundError:
        raise DataError(f"expected the table of cells {file.name} beside the weights, found none.") from None
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError(
            f"{file.name}: expected a CSV table with the columns label, latitude, longitude, got: {error}."
        ) from error
    return Partition(name, labels, centers)


def _description(file: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        description = json.loads(metadata["description"])
        size_px = description["size_px"]
        texts = [description[key] for key in ("name", "title", "purpose", "architecture")]
        rule = description.get("rule", {})
        refine_km = description.get("refine_km")
        sound = (
            all(isinstance(text, str) for text in texts)
            and isinstance(size_px, int)
            and 32 <= size_px <= 1024
            and set(rule) <= {"scale_km", "threshold"}
            and all(isinstance(value, (int, float)) and math.isfinite(value) for value in rule.values())
            and (refine_km is None or (isinstance(refine_km, (int, float)) and 0 < refine_km < 20_000))
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{file.name}: expected a description of the model in its metadata, got: {error!r}.") from None
    if not sound:
        raise CheckpointError(
            f"{file.name}: expected name, title, purpose and architecture as text and size_px from 32 to 1024, "
            f"got {metadata['description'][:200]}."
        )
    return dict(description)


def _check_layout(
    file: Path, expected: Mapping[str, Tensor], found: Mapping[str, tuple[tuple[int, ...], str]]
) -> None:
    differences = [f"key {key!r} is missing" for key in expected if key not in found]
    differences += [f"unexpected key {key!r}" for key in found if key not in expected]
    for key in expected.keys() & found.keys():
        shape, dtype = found[key]
        wanted = expected[key]
        if shape != tuple(wanted.shape):
            differences.append(f"key {key!r} has shape {shape}, expected {tuple(wanted.shape)}")
        elif (dtype not in {"F16", "F32"}) if wanted.is_floating_point() else (dtype != "I64"):
            differences.append(f"key {key!r} has type {dtype}, expected {'F16 or F32' if wanted.ndim else 'I64'}")
    if differences:
        more = f" and {len(differences) - 5} more" if len(differences) > 5 else ""
        raise CheckpointError(
            f"{file.name}: {'; '.join(sorted(differences)[:5])}{more}: is this the file of another model?"
        )


def _check_finite(file: Path, state: Mapping[str, Tensor]) -> None:
    for key, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise CheckpointError(f"{file.name}: key {key!r} holds NaN or infinite values; get the file again.")

