"""Read and write arrays in an .npz file, without trusting its headers or unpickling anything."""

import io
import math
import os
import re
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.files.reading import read_bytes
from geoexplain.words import printable

MAX_BYTES = 512 * 2**20

_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<dtype>[<>|=]\w{2})', 'fortran_order': False, "
    rb"'shape': \((?P<shape>\d{1,12},(?: \d{1,12})?)\), \} *\n",
    re.DOTALL,
)
"""Header of an array of one or two dimensions in NumPy's file format 1.0."""


def is_archive(file: Path) -> bool:
    """Return whether a file begins like an .npz; False if it cannot be read."""
    if not file.is_file():
        return False
    try:
        with file.open("rb") as opened:
            return opened.read(4) == b"PK\x03\x04"
    except (OSError, ValueError):
        return False


def read_arrays(file: Path, layout: Mapping[str, tuple[type[np.generic], int]]) -> list[NDArray[Any]]:
    """Read the arrays named in `layout` (name → dtype and number of dimensions) from an .npz, in that order.

    Compressed arrays are refused, so that no array takes more memory than the file has bytes; so are pickled objects.
    Raises DataError if the file cannot be read, has more than MAX_BYTES bytes, or lacks one of the arrays.
    """
    name = printable(file.name)
    data = read_bytes(file, MAX_BYTES)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [_array(archive, key, np.dtype(dtype), ndim) for key, (dtype, ndim) in layout.items()]
    # A damaged zip file raises seven kinds of exception; to the user all of them mean the same.
    except (KeyError, ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error):
        arrays = ", ".join(f"{key} ({np.dtype(dtype)}, {ndim}-d)" for key, (dtype, ndim) in layout.items())
        raise DataError(
            f"{name}: expected an uncompressed .npz with {arrays}, got something else or a damaged file: "
            "convert the original file again."
        ) from None


def _array(archive: zipfile.ZipFile, key: str, dtype: np.dtype, ndim: int) -> NDArray[Any]:
    member = archive.getinfo(f"{key}.npy")
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise ValueError("compressed")
    data = archive.read(member)
    # NumPy's own reader evaluates the header as a Python literal. Here only one form of header is accepted.
    header = _HEADER.match(data)
    if header is None or header["dtype"].decode() != dtype.str:
        raise ValueError("header")
    shape = tuple(int(side) for side in header["shape"].split(b",") if side.strip())
    body = data[10 + int.from_bytes(data[8:10], "little") :]
    if len(shape) != ndim or len(body) != dtype.itemsize * math.prod(shape):
        raise ValueError("size")
    return np.frombuffer(body, dtype).reshape(shape)


def write_arrays(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as an uncompressed .npz; a reader sees either the old or the new file, never a part of it."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{key: np.ascontiguousarray(value) for key, value in arrays.items()})
    write_bytes(file, buffer.getvalue())


def write_bytes(file: Path, data: bytes) -> None:
    """Write a file atomically: completely, or not at all. Raises DataError if it cannot be written."""
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(file)
    except OSError as error:
        with suppress(OSError):  # without a folder there is no part to delete
            part.unlink()
        raise DataError(
            f"{printable(file.name)}: expected to write it, got '{error.strerror}': check the folder."
        ) from None
