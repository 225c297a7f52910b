"""An original research pickle → plain Python data, and nothing else happens.

A pickle is a program. Python's own machine for it can call whatever the program names; ours cannot.
"""

import struct
from pathlib import Path

from geoexplain.errors import DataError
from geoexplain.files.machine import Damaged, Refused, unpickled
from geoexplain.files.reading import read_bytes
from geoexplain.words import printable

MAX_BYTES = 16 * 2**20
"""The largest of the original pickles has 4 MB."""


def read_pickle(file: Path, max_bytes: int = MAX_BYTES) -> object:
    """Read a pickle (protocols 2 to 5) of plain data: dicts, lists, tuples, sets, str, bytes, int, float, bool, None.

    NumPy scalars of numbers and text become the Python value they stand for. Nothing in the file is run, whatever it
    asks for. Memory stays within about 500 MB for any file, and near 15 times its size for an honest one.

    Args:
        file: a regular file of at most `max_bytes` bytes.
        max_bytes: what is larger is refused before it is read.

    Raises:
        DataError: the file is missing, too large, not a pickle, damaged, cut short or longer than its pickle; it asks
            for any other function or class, or for data of another kind; it is nested deeper than MAX_DEPTH, holds
            one container of more than 16 values in two places, or too much of anything.
    """
    name = printable(file.name)
    data = read_bytes(file, max_bytes)
    if len(data) < 2 or data[0] != 0x80 or not 2 <= data[1] <= 5:
        raise DataError(
            f"{name}: expected a pickle of protocol 2 to 5, got {'something else' if data else 'an empty file'}: "
            "is this the right file?"
        )
    try:
        return unpickled(data)
    except Refused as refused:
        raise DataError(
            f"{name}: expected a pickle of plain data, got {refused}: get the file from its authors again."
        ) from None
    # IndexError: nothing left on the stack or in the file. KeyError: nothing remembered under that number.
    except (Damaged, IndexError, KeyError, TypeError, ValueError, struct.error):
        raise DataError(
            f"{name}: expected a whole pickle, got one that is damaged or cut short: get the file again."
        ) from None
