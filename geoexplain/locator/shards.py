"""The weights of a model in one safetensors file, or in several with an index, as Hugging Face names them.

A model is named by the path of one file, NAME.safetensors. Some hosts refuse large files, so the same tensors may lie
in shards, NAME-00001-of-00002.safetensors and so on, beside NAME.safetensors.index.json: {"metadata": {"total_size":
bytes of all tensors}, "weight_map": {tensor: file name}}. Every shard repeats the metadata of the whole.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from geoexplain.errors import CheckpointError, DataError
from geoexplain.files.archives import write_bytes
from geoexplain.files.reading import read_bytes
from geoexplain.words import printable

SUFFIX, INDEX_SUFFIX = ".safetensors", ".index.json"
MAX_INDEX_BYTES = 4 * 2**20
MAX_SHARDS = 1000

SHARD_BYTES = 10 * 2**20
"""Git hosts such as Hugging Face's take files below this without an extension for large files."""

ENTRY_BYTES = 128
"""The header of a safetensors file says this much of a tensor at most, besides its name."""


@dataclass(frozen=True, eq=False)
class OpenWeights:
    """Weights that are open for reading.

    metadata  the texts that the file, or every shard alike, carries
    parts     tensor name → the open safetensors file that holds it
    """

    metadata: dict[str, str]
    parts: Mapping[str, Any]


def index_file(file: Path) -> Path:
    """Return where the index of a model's shards is: NAME.safetensors → NAME.safetensors.index.json."""
    return file.with_name(file.name + INDEX_SUFFIX)


def stored_file(file: Path) -> Path:
    """Return what there is to open for a model's weights: their file, or the index of their shards."""
    return index_file(file) if not file.is_file() and index_file(file).is_file() else file


def stored_models(folder: Path) -> list[Path]:
    """Return the models in a folder, each by the path of its one .safetensors file, be it there or in shards."""
    indices = {
        index.with_name(index.name.removesuffix(INDEX_SUFFIX)) for index in folder.glob(f"*{SUFFIX}{INDEX_SUFFIX}")
    }
    parts = {
        file for file in folder.glob(f"*{SUFFIX}") if any(_shard_pattern(one).fullmatch(file.name) for one in indices)
    }
    return sorted(indices | set(folder.glob(f"*{SUFFIX}")) - parts)


def weight_files(file: Path) -> tuple[Path, ...]:
    """Return the safetensors files that hold a model's weights, in order: `file` itself, or its shards.

    Raises CheckpointError when there is neither, or the index is damaged or names a file that is not there.
    """
    if file.is_file():
        return (file,)
    if not index_file(file).is_file():
        raise CheckpointError(f"expected a model file at {file}, found none: check the path.")
    shards = tuple(file.with_name(name) for name in sorted(set(_weight_map(file).values())))
    for shard in shards:
        if not shard.is_file():
            raise CheckpointError(
                f"{index_file(file).name}: expected its shard {shard.name} beside it, found none: get all files again."
            )
    return shards


def weights_sha256(file: Path) -> str:
    """Return the SHA-256, in hexadecimal, of a model's weights: of their file, or of all shards one after another.

    Raises CheckpointError as `weight_files` does, and what the system raises when a file cannot be read.
    """
    digest = hashlib.sha256()
    for part in weight_files(file):
        with part.open("rb") as data:
            while chunk := data.read(2**20):
                digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def open_weights(file: Path, framework: str = "pt") -> Iterator[OpenWeights]:
    """Open a model's weights to read tensors of a framework, "pt" or "numpy".

    Raises CheckpointError when they cannot be read, or when the shards are not those of one model: with other metadata
    than the first, or other tensors or bytes than the index says.
    """
    with ExitStack() as stack:
        opened = {}
        for part in weight_files(file):
            try:
                opened[part.name] = stack.enter_context(safe_open(part, framework=framework))
            except (SafetensorError, OSError) as error:
                raise CheckpointError(
                    f"{part.name}: expected a safetensors file, could not read it ({error}): get the file again."
                ) from error
        first, *others = opened.values()
        metadata = first.metadata() or {}
        found = {key: name for name, part in opened.items() for key in part.keys()}  # noqa: SIM118 - not a dict
        if not file.is_file():
            # Also false where two shards hold a tensor of the same name.
            tensors = sum(len(part.keys()) for part in opened.values())
            alike = all((part.metadata() or {}) == metadata for part in others)
            if not alike or found != _weight_map(file) or tensors != len(found):
                raise CheckpointError(
                    f"{index_file(file).name}: expected {', '.join(opened)} to be the shards of one model with the "
                    "tensors that it lists, got shards of several: get all files again."
                )
        yield OpenWeights(metadata, {key: opened[name] for key, name in found.items()})


def write_shards(file: Path, shard_bytes: int = SHARD_BYTES) -> tuple[Path, ...]:
    """Write the weights in `file` as shards of less than `shard_bytes` with their index beside it; return the shards.

    Tensors keep every bit and their order in the file. `file` stays; while it is there, it is what is read. Raises
    CheckpointError when it cannot be read, and DataError when a tensor is too large for a shard.
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


def remove_shards(file: Path) -> None:
    """Delete the index and the shards of a model, if there are any."""
    index_file(file).unlink(missing_ok=True)
    for other in list(file.parent.iterdir()):
        if _shard_pattern(file).fullmatch(other.name):
            other.unlink()


def _groups(name: str, tensors: Mapping[str, Tensor], room: int) -> list[list[str]]:
    """Names of tensors in groups that fill no more than `room` bytes each."""
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


def _shard_pattern(file: Path) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(file.stem)}-\d{{5}}-of-\d{{5}}{re.escape(file.suffix)}")


def _weight_map(file: Path) -> dict[str, str]:
    """Tensor name → file name, as the index of a model's shards says, which nobody vouches for."""
    index = index_file(file)
    try:
        content = json.loads(read_bytes(index, MAX_INDEX_BYTES))
    except DataError as error:
        raise CheckpointError(str(error)) from None
    except (ValueError, RecursionError):  # the latter from brackets within brackets
        content = None
    names = content.get("weight_map") if isinstance(content, dict) else None
    # A name of this form lies beside the index, and nowhere else.
    if (
        not isinstance(names, dict)
        or not all(isinstance(name, str) and _shard_pattern(file).fullmatch(name) for name in names.values())
        or not 1 <= len(set(names.values())) <= MAX_SHARDS
    ):
        raise CheckpointError(
            f"{index.name}: expected the index of a model's shards, {file.stem}-00001-of-00002{file.suffix} and so on, "
            "got something else: get all files again."
        )
    return names
