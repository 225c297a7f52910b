"""Split the weights of a model into shards that Git hosts accept without Git LFS."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from geoexplain.errors import CheckpointError, DataError
from geoexplain.files.archives import write_bytes
from geoexplain.locator.gate import gate_file
from geoexplain.locator.shards import (
    SHARD_BYTES,
    index_file,
    open_weights,
    remove_shards,
    weight_files,
    weights_sha256,
)
from geoexplain.locator.tuned import tuned_file
from geoexplain.words import printable

ENTRY_BYTES = 128
"""Maximum number of bytes for one tensor in the header of a safetensors file, besides its name."""


def split_model(file: Path, shard_bytes: int = SHARD_BYTES) -> tuple[Path, ...]:
    """Replace the weights file of a model by shards of less than `shard_bytes` with their index; return the shards.

    The tensors keep every bit. The digests in the gate and the tuned weights are replaced by those of the shards, if
    they were those of the file, and the size in the card by theirs. Raises CheckpointError if the weights are in shards
    already or cannot be read, and DataError if a tensor is larger than a shard or a file cannot be written.
    """
    if not file.is_file():
        count = len(weight_files(file))
        raise CheckpointError(f"{file.name}: expected one file, got {count} shards: they have been split already.")
    shards = write_shards(file, shard_bytes)
    digest, size = weights_sha256(file), file.stat().st_size
    file.unlink()
    changes = {
        gate_file(file): (digest, weights_sha256(file)),
        tuned_file(file): (digest, weights_sha256(file)),
        file.with_suffix(".card.json"): (f'"bytes": {size},', f'"bytes": {sum(one.stat().st_size for one in shards)},'),
    }
    for companion, (old, new) in changes.items():
        if companion.is_file():
            write_bytes(companion, companion.read_bytes().replace(old.encode(), new.encode()))
    return shards


def write_shards(file: Path, shard_bytes: int = SHARD_BYTES) -> tuple[Path, ...]:
    """Write the weights in `file` as shards of less than `shard_bytes`, with their index; return the shards.

    Tensors keep every bit and their order. `file` is not deleted, and is read instead of the shards while it exists.
    Raises CheckpointError if it cannot be read, and DataError if a tensor is too large for a shard.
    """
    with open_weights(file) as weights:
        metadata = weights.metadata
        tensors = {key: part.get_tensor(key) for key, part in weights.parts.items()}
    groups = _groups(file.name, tensors, shard_bytes - len(json.dumps(json.dumps(metadata))) - ENTRY_BYTES)
    remove_shards(file)
    weight_map, shards = {}, []
    for number, keys in enumerate(groups, start=1):
        shard = file.with_name(f"{file.stem}-{number:05d}-of-{len(groups):05d}{file.suffix}")
        save_file({key: tensors[key] for key in keys}, shard, metadata=metadata)
        shutil.copymode(file, shard)
        weight_map.update(dict.fromkeys(keys, shard.name))
        shards.append(shard)
    index = {"metadata": {"total_size": sum(map(_bytes, tensors.values()))}, "weight_map": weight_map}
    write_bytes(index_file(file), (json.dumps(index, indent=2, sort_keys=True) + "\n").encode())
    return tuple(shards)


def _groups(name: str, tensors: Mapping[str, Tensor], room: int) -> list[list[str]]:
    """Divide the names of tensors into groups of at most `room` bytes each."""
    groups: list[list[str]] = [[]]
    left = room
    for key, tensor in tensors.items():
        size = _bytes(tensor) + len(key) + ENTRY_BYTES
        if size > room:
            raise DataError(
                f"{name}: expected tensors that fit into a shard of {room:,} bytes, got {printable(key)!r} of "
                f"{size:,}: choose larger shards."
            )
        if size > left:
            groups.append([])
            left = room
        groups[-1].append(key)
        left -= size
    return groups


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
