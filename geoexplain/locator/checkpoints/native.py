"""Save and load models in geoexplain's own format: a safetensors file, or its shards, and tables of cells.

The safetensors file holds the weights (fp16 or fp32) and, in its metadata, a JSON description. Tables of cells (CSV)
and, if they are known, borders (GeoJSON) and places of the cells (JSON) are next to it, with the same stem.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from geoexplain.errors import CheckpointError
from geoexplain.geography.outline_files import read_outlines, write_outlines
from geoexplain.geography.partition import Partition, hierarchy
from geoexplain.geography.placetree import PlaceTree
from geoexplain.geography.placetree_files import read_place_trees, write_place_trees
from geoexplain.images import Preprocess
from geoexplain.locator.backbone import create_backbone, stage_channels
from geoexplain.locator.checkpoints.cells import cells_file, outlines_file, places_file, read_partitions
from geoexplain.locator.checkpoints.description import FORMAT, read_description
from geoexplain.locator.checkpoints.layout import check_finite, check_layout
from geoexplain.locator.gate import Gate, gate_file, load_gate, write_gate
from geoexplain.locator.heads import Head, MultiPartitionHead, RetrievalEmbedding, VonMisesFisherHead
from geoexplain.locator.model import GeoModel, LocalizableRule, Network
from geoexplain.locator.shards import open_weights, remove_shards
from geoexplain.locator.tuned import load_tuned

FROM_TABLES = ("head.mvmf.mus", "head.hierarchy")
"""Keys of cell centres and parents, which are stored in the tables of cells and not with the weights."""

EMBEDDER = "embedder."
"""Prefix of the keys of the retrieval embedding."""

FREE_PIXELS = ("size_px", "mean", "std", "max_aspect", "crop_from_px")
"""Fields of a description that are arguments of Preprocess."""


def save_geoexplain(
    network: nn.Module,
    description: Mapping[str, Any],
    partition: Partition,
    file: Path,
    *,
    coarser: Sequence[Partition] = (),
    embedder: nn.Module | None = None,
    half: bool = True,
    trees: Sequence[PlaceTree] = (),
    gate: Gate | None = None,
) -> None:
    """Save a model in geoexplain's format: weights with their description, tables of cells, borders, places and gate.

    `network` has the modules of a Network. `description` must have name, title, purpose, architecture and size_px, and
    may have the other FIELDS. `half` stores fp16, which changes predictions by about 0.001; otherwise fp32. `trees` are
    the places of the cells; without them they are computed whenever the model is loaded. `gate` is written with the
    digest of the new weights.

    Raises CheckpointError if the weights cannot be written, and OSError if a table cannot.
    """
    tensors = {key: value for key, value in network.state_dict().items() if key not in FROM_TABLES}
    if embedder is not None:
        tensors |= {f"{EMBEDDER}{key}": value for key, value in embedder.state_dict().items()}
    stored = _apart({key: _storable(value, half=half) for key, value in tensors.items()})
    try:
        save_file(stored, file, metadata={"format": FORMAT, "description": json.dumps(dict(description))})
    except SafetensorError as error:  # a full disk, too
        raise CheckpointError(
            f"{file.name}: expected to write it, could not ({str(error)[:200]}): check the folder and the free space."
        ) from None
    remove_shards(file)
    for level, cells in enumerate((partition, *coarser)):
        cells.save(cells_file(file, level))
    if partition.borders is None:
        outlines_file(file).unlink(missing_ok=True)  # left from a previous model of this name
    else:
        write_outlines(outlines_file(file), partition.borders, partition.labels)
    if trees:
        write_place_trees(trees, places_file(file), partition.centers_deg)
    else:
        places_file(file).unlink(missing_ok=True)
    if gate is None:
        gate_file(file).unlink(missing_ok=True)
    else:
        write_gate(gate, file)
    shutil.copymode(cells_file(file), file)  # safetensors writes files that only their owner can read


def _storable(value: Tensor, *, half: bool) -> Tensor:
    value = value.detach().cpu().contiguous()
    if not value.is_floating_point():
        return value
    halved = value.half() if half else value.float()
    # fp16 ends at 65,504; tensors with larger values stay fp32, since the format stores a type for each tensor.
    return halved if torch.isfinite(halved).all() else value.float()


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors that share memory with another one, since safetensors refuses to write these."""
    seen: set[int] = set()
    apart = {}
    for key, value in tensors.items():
        memory = value.untyped_storage().data_ptr()
        apart[key] = value.clone() if memory in seen else value
        seen.add(memory)
    return apart


def load_geoexplain(
    file: Path, device: str | torch.device | None = None, *, hierarchical: bool | None = None
) -> GeoModel:
    """Load a model in geoexplain's format.

    The layout of the file is compared with the described network before weights are read. `device` None takes the GPU
    if there is one. `hierarchical` selects whether a cell's share is multiplied by those of its parents (f* of Theiner
    et al.) or not (f); None is the model's own setting.

    Raises CheckpointError if a file is missing, damaged, of another format, or does not fit, or if `hierarchical` is
    given for a model without a hierarchy; DataError for invalid tables of cells, borders, or places.
    """
    try:
        with open_weights(file) as weights:
            description = read_description(file.name, weights.metadata)
            if hierarchical is not None:
                description["head"] = _with_product(file.name, description.get("head"), hierarchical)
            levels = description.get("head", {}).get("levels", 1)
            partition, coarser = read_partitions(file, description["name"], levels - 1)
            if outlines_file(file).exists():
                partition = replace(partition, borders=read_outlines(outlines_file(file), len(partition)))
            with torch.device("meta"):  # shapes only: a description may name a network far larger than the file
                network, embedder = _parts(description, partition, coarser)
                expected = _tensors(network, embedder)
            slices = {key: part.get_slice(key) for key, part in weights.parts.items()}
            layouts = {key: (tuple(part.get_shape()), part.get_dtype()) for key, part in slices.items()}
            check_layout(file.name, expected, layouts, floats=("F16", "F32"))
            state = {key: weights.parts[key].get_tensor(key) for key in expected}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{file.name}: expected a safetensors file, could not read it ({error}): get the file again."
        ) from error
    _check_numbers(file)
    fill_network(network, embedder, state, partition, coarser)
    lengths = network.backbone.stage_lengths
    tuned, untuned = load_tuned(file, {"stage": len(lengths), "block": sum(lengths)})
    gate, ungated = load_gate(file, stage_channels(network.backbone))
    return GeoModel(
        network.backbone,
        network.head,
        partition,
        Preprocess(**{key: _as_tuple(description[key]) for key in FREE_PIXELS if key in description}),
        name=description["name"],
        coarser=coarser,
        embedder=embedder,
        title=description["title"],
        purpose=description["purpose"],
        rule=LocalizableRule(**description["rule"]) if "rule" in description else None,
        refine_km=description.get("refine_km"),
        sigma_km=description.get("sigma_km"),
        device=device,
        tuned=tuned,
        untuned=untuned,
        gate=gate,
        ungated=ungated,
        own_trees=read_place_trees(places_file(file), partition.centers_deg) if places_file(file).exists() else (),
    )


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _check_numbers(file: Path) -> None:
    """Run `check_finite` on copies of the tensors, one after the other.

    The tensors themselves are memory-mapped; reading them would load the whole file into memory and keep it there.
    """
    with open_weights(file, "numpy") as weights:
        for key, part in weights.parts.items():
            check_finite(file.name, {key: torch.from_numpy(part.get_tensor(key))})


def fill_network(
    network: Network,
    embedder: RetrievalEmbedding | None,
    state: Mapping[str, Tensor],
    partition: Partition,
    coarser: Sequence[Partition],
) -> None:
    """Put checked weights, and data from the tables of cells, into a network on the device "meta".

    The tensors are converted to fp32 and used without another copy.
    """
    own = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    tables = {
        "head.mvmf.mus": torch.from_numpy(partition.centers_deg).T.contiguous(),
        "head.hierarchy": torch.from_numpy(hierarchy(partition, coarser)),
    }
    parts = {key: value for key, value in own.items() if not key.startswith(EMBEDDER)}
    parts |= {key: value for key, value in tables.items() if key in network.state_dict()}
    network.load_state_dict(parts, assign=True)
    if embedder is not None:
        inner = {key.removeprefix(EMBEDDER): value for key, value in own.items() if key.startswith(EMBEDDER)}
        embedder.load_state_dict(inner, assign=True)


def _tensors(network: Network, embedder: RetrievalEmbedding | None) -> dict[str, Tensor]:
    tensors = {key: value for key, value in network.state_dict().items() if key not in FROM_TABLES}
    if embedder is not None:
        tensors |= {f"{EMBEDDER}{key}": value for key, value in embedder.state_dict().items()}
    return tensors


def describe(model: GeoModel) -> dict[str, Any]:
    """Return the description of a model for `save_geoexplain`."""
    head = model.head
    backbone = model.backbone
    facts = {
        "name": model.name,
        "title": model.title,
        "purpose": model.purpose,
        "architecture": backbone.architecture,
        "bn_eps": backbone.bn_eps,
        "padding_for_px": backbone.padding_for_px,
        "size_px": model.preprocess.size_px,
        "mean": list(model.preprocess.mean),
        "std": list(model.preprocess.std),
        "max_aspect": model.preprocess.max_aspect,
        "crop_from_px": model.preprocess.crop_from_px,
        "rule": asdict(model.rule),
        "refine_km": model.refine_km,
        "sigma_km": model.sigma_km,
        "embedding": None if model.embedder is None else model.embedder.hidden_dim,
    }
    if isinstance(head, MultiPartitionHead):
        facts["head"] = {"kind": "multi-partition", "levels": len(head.classifier), "product": head.product}
    return {key: value for key, value in facts.items() if value is not None or key == "refine_km"}


def _with_product(file: str, head: Mapping[str, Any] | None, product: bool) -> dict[str, Any]:
    if head is None or head["levels"] == 1:
        raise CheckpointError(
            f"{file}: expected a model with several partitionings, got one: f and f* are equal, leave the choice out."
        )
    return {**head, "product": product}


def _parts(
    description: Mapping[str, Any], partition: Partition, coarser: Sequence[Partition]
) -> tuple[Network, RetrievalEmbedding | None]:
    options = {key: description[key] for key in ("bn_eps", "padding_for_px") if key in description}
    backbone = create_backbone(description["architecture"], **options)
    if "head" in description:
        sizes = [len(cells) for cells in (*reversed(coarser), partition)]
        levels = torch.zeros(len(partition), len(sizes), dtype=torch.int64)
        product = description["head"]["product"]
        head: Head = MultiPartitionHead(backbone.feature_dim, sizes, levels, product=product)
    else:
        head = VonMisesFisherHead(backbone.feature_dim, torch.zeros(len(partition), 2))
    hidden_dim = description.get("embedding")
    embedder = RetrievalEmbedding(backbone.feature_dim, hidden_dim) if hidden_dim else None
    return Network(backbone, head), embedder
