"""Read untrusted files of `torch.save` without executing them and without using more memory than their size."""

import argparse
import pathlib
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from geoexplain.errors import CheckpointError
from geoexplain.locator.checkpoints.layout import check_finite, check_layout, layout_of
from geoexplain.words import mebibytes

HARMLESS: list[Any] = [
    argparse.Namespace,
    (pathlib.PosixPath, "pathlib.PosixPath"),
    (pathlib.PosixPath, "pathlib._local.PosixPath"),
]
"""Classes in Lightning's checkpoints besides tensors and plain data; both only hold values."""

MAX_PICKLE_BYTES = 16 * 2**20
"""Maximum size of a checkpoint's pickle, without its tensors; that of a B4 with three heads is about 200 kB."""


def read_torch_file(file: Path) -> Any:
    """Read a file that `torch.save` wrote (PyTorch 1.6 or later); its tensors are memory-mapped, not copied.

    Only tensors, plain data and the classes in HARMLESS are accepted. Raises CheckpointError if the file is missing, of
    another format, truncated or compressed, or if it holds anything else.
    """
    try:
        _check_archive(file)
        with torch.serialization.safe_globals(HARMLESS):
            return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise CheckpointError(f"expected the file {file.name}, found none: put it there.") from None
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001 - damaged archives raise a dozen kinds of exception with one meaning
        kind = type(error).__name__
        if kind == "UnpicklingError":  # torch refuses anything but data
            raise CheckpointError(
                f"{file.name}: expected tensors and plain data, got something that would have to be executed "
                f"({_reason(error)}): do not trust this file."
            ) from None
        raise CheckpointError(
            f"{file.name}: expected a file written by torch.save, could not read it ({kind}): get the file again."
        ) from None


def _check_archive(file: Path) -> None:
    if not zipfile.is_zipfile(file):
        file.stat()  # raises FileNotFoundError if there is no such file
        raise CheckpointError(
            f"{file.name}: expected a file written by torch.save of PyTorch 1.6 or later, got another kind or a file "
            "cut short: get the file again, or load and save it with a newer PyTorch."
        )
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts) or (
        sum(part.file_size for part in parts) > file.stat().st_size
    ):
        raise CheckpointError(
            f"{file.name}: expected an uncompressed archive, as torch.save writes: get the file again."
        )
    if any(part.file_size > MAX_PICKLE_BYTES for part in parts if part.filename.endswith(".pkl")):
        raise CheckpointError(
            f"{file.name}: expected at most {mebibytes(MAX_PICKLE_BYTES)} besides its tensors, got more: "
            "get the file again."
        )


def _reason(error: Exception) -> str:
    named = re.search(r"(?:GLOBAL|class) ([\w.]{1,80})", str(error))
    return named[1] if named else "an instruction that is not allowed"


def checked_tensors(file: str, data: Any, expected: Mapping[str, Tensor], question: str) -> dict[str, Tensor]:
    """Check that a state dict has the tensors that a network expects, and return them without copying.

    file      name of the file, for messages
    data      result of `read_torch_file`, or a part of it
    expected  key → tensor of the expected shape and type, on any device
    question  as for `check_layout`

    Raises CheckpointError if `data` is not a state dict or does not fit, if a tensor stores fewer numbers than its
    shape has (a stride of 0 expands one number to any shape), or if numbers are not finite.
    """
    tensors = state_dict(file, data)
    check_layout(file, expected, {key: layout_of(value) for key, value in tensors.items()}, question)
    for key, value in tensors.items():
        if not value.is_contiguous() or value.untyped_storage().nbytes() < value.numel() * value.element_size():
            raise CheckpointError(
                f"{file}: key {key!r}: expected {value.numel()} numbers in a row, got fewer stretched to that shape: "
                "get the file again."
            )
    check_finite(file, tensors)
    return tensors


def state_dict(file: str, data: Any) -> dict[str, Tensor]:
    """Return `data` as a state dict of dense tensors; raise CheckpointError if it is anything else."""
    if not isinstance(data, Mapping) or not data:
        raise CheckpointError(f"{file}: expected a state dict, got {type(data).__name__}: is this another file?")
    for key, value in data.items():
        if not isinstance(key, str) or not _is_dense(value):
            raise CheckpointError(
                f"{file}: expected a state dict of names and dense tensors, got {type(value).__name__} under "
                f"{str(key)[:60]!r}: is this another file?"
            )
    return dict(data)


def _is_dense(value: object) -> bool:
    # A file can give a tensor attributes that replace its methods, or a shape without numbers (device "meta").
    plain = type(value) in {Tensor, nn.Parameter} and not vars(value)
    return plain and isinstance(value, Tensor) and value.layout == torch.strided and value.device.type == "cpu"
