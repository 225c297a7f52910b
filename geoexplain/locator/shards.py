"""Read the weights of a model from one safetensors file, or from shards with an index in Hugging Face's format.

The path of a model is always that of one file, NAME.safetensors. Some hosts refuse large files, so the tensors may be
in shards, NAME-00001-of-00002.safetensors and so on, next to NAME.safetensors.index.json: {"metadata": {"total_size":
bytes of all tensors}, "weight_map": {tensor: file name}}. Every shard repeats the metadata of the model.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from geoexplain.errors import CheckpointError, DataError

SUFFIX, INDEX_SUFFIX = ".safetensors", ".index.json"
MAX_INDEX_BYTES = 4 * 2**20
MAX_SHARDS = 1000

SHARD_BYTES = 10 * 2**20
"""Git hosts such as Hugging Face accept files below this size without Git LFS."""


@dataclass(frozen=True, eq=False)
class OpenWeights:
    """Weights of a model, open for reading.

    metadata  metadata of the file, which are equal in all shards
    parts     tensor name → the open safetensors file that holds it
    """

    metadata: dict[str, str]
    parts: Mapping[str, Any]


def index_file(file: Path) -> Path:
    """Return the path of the index of a model's shards: NAME.safetensors → NAME.safetensors.index.json."""
    return file.with_name(file.name + INDEX_SUFFIX)


def stored_file(file: Path) -> Path:
    """Return the path of the stored weights: the index of their shards if only that exists, else `file`."""
    return index_file(file) if not file.is_file() and index_file(file).is_file() else file


def stored_models(folder: Path) -> list[Path]:
    """Return the models in a folder, each by the path of its single .safetensors file, also if it is in shards."""
    indices = {
        index.with_name(index.name.removesuffix(INDEX_SUFFIX)) for index in folder.glob(f"*{SUFFIX}{INDEX_SUFFIX}")
    }
    parts = {
        file for file in folder.glob(f"*{SUFFIX}") if any(shard_pattern(one).fullmatch(file.name) for one in indices)
    }
    return sorted(indices | set(folder.glob(f"*{SUFFIX}")) - parts)


def weight_files(file: Path) -> tuple[Path, ...]:
    """Return the safetensors files that hold a model's weights, in order: `file` itself, or its shards.

    Raises CheckpointError if neither exists, or if the index is damaged or names a missing file.
    """
    if file.is_file():
        return (file,)
    if not index_file(file).is_file():
        raise CheckpointError(f"expected a model file at {file}, found none: check the path.")
    shards = tuple(file.with_name(name) for name in sorted(set(_weight_map(file).values())))
    for shard in shards:
        if not shard.is_file():
            raise CheckpointError(
                f"{index_file(file).name}: expected its shard {shard.name} next to it, found none: get all files again."
            )
    return shards


def weights_sha256(file: Path) -> str:
    """Return the hexadecimal SHA-256 of a model's weights: of the file, or of all shards concatenated.

    Raises CheckpointError like `weight_files`, and OSError if a file cannot be read.
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

    Raises CheckpointError if they cannot be read, or if the shards do not belong to one model: their metadata differ,
    or their tensors are not those of the index.
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
        weight_map = {key: name for name, part in opened.items() for key in part.keys()}  # noqa: SIM118 - not a dict
        if not file.is_file():
            # The comparison of counts detects tensors of the same name in two shards.
            tensors = sum(len(part.keys()) for part in opened.values())
            alike = all((part.metadata() or {}) == metadata for part in others)
            if not alike or weight_map != _weight_map(file) or tensors != len(weight_map):
                raise CheckpointError(
                    f"{index_file(file).name}: expected {', '.join(opened)} to be the shards of one model with the "
                    "tensors that it lists, got shards of several: get all files again."
                )
        yield OpenWeights(metadata, {key: opened[name] for key, name in weight_map.items()})


def remove_shards(file: Path) -> None:
    """Delete the index and the shards of a model, if they exist."""
    index_file(file).unlink(missing_ok=True)
    for other in list(file.parent.iterdir()):
        if shard_pattern(file).fullmatch(other.name):
            other.unlink()


def shard_pattern(file: Path) -> re.Pattern[str]:
    """Return a pattern that matches the names of a model's shards."""
    return re.compile(rf"{re.escape(file.stem)}-\d{{5}}-of-\d{{5}}{re.escape(file.suffix)}")


def _weight_map(file: Path) -> dict[str, str]:
    """Read the untrusted index of a model's shards: tensor name → file name."""
    # Imported here, since it imports NumPy, which commands such as `geoexplain models` need not wait for.
    from geoexplain.files.reading import read_bytes  # noqa: PLC0415

    index = index_file(file)
    try:
        content = json.loads(read_bytes(index, MAX_INDEX_BYTES))
    except DataError as error:
        raise CheckpointError(str(error)) from None
    except (ValueError, RecursionError):  # RecursionError: deeply nested brackets
        content = None
    names = content.get("weight_map") if isinstance(content, dict) else None
    # A name of this form has no folder, so the file is next to the index.
    if (
        not isinstance(names, dict)
        or not all(isinstance(name, str) and shard_pattern(file).fullmatch(name) for name in names.values())
        or not 1 <= len(set(names.values())) <= MAX_SHARDS
    ):
        raise CheckpointError(
            f"{index.name}: expected the index of a model's shards, {file.stem}-00001-of-00002{file.suffix} and so on, "
            "got something else: get all files again."
        )
    return names
