"""Read and write the records of shards in MessagePack, without loading large values into memory.

The format: https://github.com/msgpack/msgpack/blob/master/spec.md. Files are untrusted: no length in a file reserves
memory, nesting is limited, and extension types are skipped unread.
"""

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

KEPT_BYTES = 1024
"""Texts and bytes up to this length are read; of longer ones only the offset and length are returned."""

MAX_DEPTH = 8
MAX_VALUES = 4096
"""Limit on the values in one record, nested ones included."""

_NUMBERS = {
    0xCA: ">f",
    0xCB: ">d",
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_BYTES = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_ARRAYS = {0xDC: 2, 0xDD: 4}
_MAPS = {0xDE: 2, 0xDF: 4}


class RecordError(ValueError):
    """The file has no valid record at this position, or ends within it."""


@dataclass(frozen=True)
class Blob:
    """Text or bytes: offset in the file, number of bytes, and the bytes themselves if there are at most KEPT_BYTES."""

    offset: int
    length: int
    data: bytes | None


@dataclass(frozen=True)
class Extension:
    """A value of an application-specific type, which was skipped."""


@dataclass(frozen=True)
class Nested:
    """An array or map within the record, which was skipped."""


Value = Blob | Extension | Nested | int | float | bool | None


def read_record(file: BinaryIO) -> dict[str, Value] | None:
    """Read a record, a map, from the file's current position and move to its end; return None at the end of the file.

    Entries whose key is not a short text are left out. A nil between records is skipped, as in the original readers.
    Raises RecordError if there is no complete record.
    """
    walk = _Walk(file, os.fstat(file.fileno()).st_size)
    first = 0xC0
    while first == 0xC0:
        byte = file.read(1)
        if not byte:
            return None
        first = byte[0]
    entries = walk.map_length(first)
    if entries is None:
        raise RecordError("expected a record here, got something else")
    record: dict[str, Value] = {}
    for _ in range(entries):
        key = _text(walk.value(1))
        value = walk.value(1)
        if key is not None:
            record[key] = value
    return record


def _text(value: Value) -> str | None:
    if not isinstance(value, Blob) or value.data is None:
        return None
    try:
        return value.data.decode()
    except UnicodeDecodeError:
        return None


class _Walk:
    """Reader of one record in an open file of `size` bytes."""

    def __init__(self, file: BinaryIO, size: int):
        self.file, self.size, self.values = file, size, 0

    def map_length(self, first: int) -> int | None:
        """Return the number of entries of the map that begins with this byte; None if it begins no map."""
        if 0x80 <= first <= 0x8F:
            return first & 0x0F
        return self.number(_MAPS[first]) if first in _MAPS else None

    def value(self, depth: int) -> Value:
        """Read the value at the file's current position."""
        self.values += 1
        if self.values > MAX_VALUES or depth > MAX_DEPTH:
            raise RecordError("expected a photo's record, got one with far more values")
        first = self.number(1)
        if first <= 0x7F or first >= 0xE0:
            return first if first <= 0x7F else first - 0x100
        if first in _CONSTANTS:
            return _CONSTANTS[first]
        if first in _NUMBERS:
            layout = _NUMBERS[first]
            number: int | float = struct.unpack(layout, self.read(struct.calcsize(layout)))[0]
            return number
        if 0xA0 <= first <= 0xBF:
            return self.blob(first & 0x1F)
        if first in _BYTES:
            return self.blob(self.number(_BYTES[first]))
        return self.container(first, depth)

    def container(self, first: int, depth: int) -> Value:
        if first in _FIXED_EXTENSIONS or first in _EXTENSIONS:
            length = _FIXED_EXTENSIONS.get(first) or self.number(_EXTENSIONS[first])
            self.skip(length + 1)  # the value and one byte for its type
            return Extension()
        entries = self.map_length(first)
        if entries is not None:
            entries *= 2
        elif 0x90 <= first <= 0x9F:
            entries = first & 0x0F
        elif first in _ARRAYS:
            entries = self.number(_ARRAYS[first])
        else:  # 0xC1, which the format never uses
            raise RecordError("expected a value, got the byte 0xc1, which begins none")
        for _ in range(entries):
            self.value(depth + 1)
        return Nested()

    def blob(self, length: int) -> Blob:
        offset = self.file.tell()
        if length <= KEPT_BYTES:
            return Blob(offset, length, self.read(length))
        self.skip(length)
        return Blob(offset, length, None)

    def number(self, width: int) -> int:
        return int.from_bytes(self.read(width), "big")

    def read(self, length: int) -> bytes:
        data = self.file.read(length)
        if len(data) < length:
            raise RecordError("the file ends within a record")
        return data

    def skip(self, length: int) -> None:
        if self.file.tell() + length > self.size:
            raise RecordError("the file ends within a record")
        self.file.seek(length, os.SEEK_CUR)


def pack_record(key: str, image: bytes, lat_deg: float, lon_deg: float, author: str) -> bytes:
    """Encode one record of a shard: the map {id, image, latitude, longitude} and, unless it is "", the author."""
    fields = [("id", _pack_text(key)), ("image", b"\xc6" + struct.pack(">I", len(image)) + image)]
    fields += [("latitude", b"\xcb" + struct.pack(">d", lat_deg)), ("longitude", b"\xcb" + struct.pack(">d", lon_deg))]
    if author:
        fields.append(("author", _pack_text(author)))
    return bytes([0x80 | len(fields)]) + b"".join(_pack_text(name) + value for name, value in fields)


def _pack_text(text: str) -> bytes:
    data = text.encode()
    return b"\xdb" + struct.pack(">I", len(data)) + data
