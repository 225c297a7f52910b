"""Read plain Python data from an untrusted pickle without executing it.

Python's own unpickler calls any function that a pickle names; the one in `geoexplain.files.machine` calls none.
"""

import struct
from pathlib import Path

from geoexplain.errors import DataError
from geoexplain.files.machine import Damaged, Refused, unpickle
from geoexplain.files.reading import read_bytes
from geoexplain.words import printable

MAX_BYTES = 16 * 2**20
"""Largest accepted pickle; the largest of the original ones has 4 MB."""


def read_pickle(file: Path, max_bytes: int = MAX_BYTES) -> object:
    """Read a pickle (protocols 2 to 5) of plain data: dicts, lists, tuples, sets, str, bytes, int, float, bool, None.

    NumPy scalars of numbers and text become Python values. Nothing in the file is executed. Memory use stays within
    about 500 MB for any file, and near 15 times the file's size for a valid one.

    Args:
        file: a regular file of at most `max_bytes` bytes.
        max_bytes: larger files are refused before they are read.

    Raises:
        DataError: the file is missing, too large, not a pickle, damaged, truncated, or has data after its pickle; it
            names any other function or class, or holds other data; it is nested deeper than MAX_DEPTH, uses one
            container of more than MAX_SHARED values in two places, or exceeds another limit of the machine.
    """
    name = printable(file.name)
    data = read_bytes(file, max_bytes)
    if len(data) < 2 or data[0] != 0x80 or not 2 <= data[1] <= 5:
        raise DataError(
            f"{name}: expected a pickle of protocol 2 to 5, got {'something else' if data else 'an empty file'}: "
            "is this the right file?"
        )
    try:
        return unpickle(data)
    except Refused as refused:
        raise DataError(
            f"{name}: expected a pickle of plain data, got {refused}: get the file from its authors again."
        ) from None
    # IndexError: the stack or the file is exhausted. KeyError: the memo has no such entry.
    except (Damaged, IndexError, KeyError, TypeError, ValueError, struct.error):
        raise DataError(
            f"{name}: expected a whole pickle, got one that is damaged or cut short: get the file again."
        ) from None
