"""Read untrusted files up to a maximum size, and compute digests of files."""

import hashlib
import os
import stat
from pathlib import Path
from typing import NoReturn

from geoexplain.errors import DataError
from geoexplain.words import printable


def read_bytes(file: Path, max_bytes: int) -> bytes:
    """Return the content of a regular file of at most `max_bytes` bytes.

    Raises DataError if the file is larger, is not a regular file, or cannot be read.
    """
    name = printable(file.name)
    try:
        # Without O_NONBLOCK, opening a named pipe waits for a writer that may never come.
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as opened:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                raise DataError(f"{name}: expected a file, got a device or a pipe: give the path of a file.")
            if facts.st_size > max_bytes:
                _refuse_size(name, max_bytes, facts.st_size)
            # read(max_bytes) would allocate that size first. One extra byte detects that the file has grown.
            data = opened.read(facts.st_size + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a valid path"
        raise DataError(f"{name}: expected a readable file, got '{reason}': check the path.") from None
    if len(data) > max_bytes:
        _refuse_size(name, max_bytes, len(data))
    return data


def _refuse_size(name: str, max_bytes: int, size: int) -> NoReturn:
    raise DataError(f"{name}: expected at most {max_bytes:,} bytes, got {size:,}: is this the right file?")


def sha256(file: Path) -> str:
    """Return the hexadecimal SHA-256 digest of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as data:
        while chunk := data.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()
