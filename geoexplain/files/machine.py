"""A restricted unpickler that builds plain data only and never calls what a file names.

A pickle is a program for a stack machine. This machine implements the opcodes of plain data, and itself carries out the
few calls as which NumPy scalars and the sets of older protocols are stored. It looks up, imports and calls nothing on
behalf of a file. Opcodes are documented in Python's `pickletools`.
"""

import pickletools
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from geoexplain.words import printable

MAX_STEPS = 6_000_000
MAX_CONTAINERS = 500_000
MAX_MEMO = 1_000_000
MAX_DEPTH = 16
MAX_SHARED = 16
"""Limits on memory and time: one byte of a pickle can create an object of 200 bytes."""


class Refused(Exception):  # noqa: N818 - becomes a DataError once the name of the file is known
    """The pickle holds something other than plain data; the message says what."""


class Damaged(Exception):  # noqa: N818
    """The pickle is inconsistent or incomplete."""


class _Call(Enum):
    """Functions that a pickle may name. Members are only marks on the stack; none of them can be called."""

    SCALAR = auto()
    DTYPE = auto()
    ENCODE = auto()
    SET = auto()


_NAMES = {
    ("numpy.core.multiarray", "scalar"): _Call.SCALAR,
    ("numpy._core.multiarray", "scalar"): _Call.SCALAR,  # NumPy 2
    ("numpy", "dtype"): _Call.DTYPE,
    ("_codecs", "encode"): _Call.ENCODE,  # how protocol 2 stores bytes, and a scalar is made of bytes
    ("builtins", "set"): _Call.SET,  # how protocols 2 and 3 store a set
    ("__builtin__", "set"): _Call.SET,
}

_NUMBERS = {
    "b1": "?",
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
    "f2": "e",
    "f4": "f",
    "f8": "d",
}
"""NumPy's code of a dtype → that of `struct`."""


@dataclass
class _DType:
    """The type code and byte order of a NumPy dtype; a later opcode sets the byte order."""

    code: str
    order: str = ""

    def read(self, data: bytes) -> object:
        if self.order not in ("<", ">"):
            raise Damaged
        if self.code in _NUMBERS:
            return struct.unpack(self.order + _NUMBERS[self.code], data)[0]
        if len(data) != 4 * int(self.code[1:]):
            raise Damaged
        return data.decode("utf-32-le" if self.order == "<" else "utf-32-be").rstrip("\0")


_CONTAINERS = (dict, list, set, tuple)
_KEYS = {bool, bytes, float, int, str}
"""Types allowed as members of a set and as keys of a dict: hashing them is cheap."""

_LEAVES = {*_KEYS, type(None)}
_INTEGERS = range(-(2**63), 2**64)
"""Integers of more than 64 bits are refused: they can be chosen to have equal hashes, and a set of them takes hours."""


def unpickle(data: bytes) -> object:
    """Return the plain data in a pickle of protocol 2 to 5.

    Raises Refused or Damaged, or for invalid operands IndexError, KeyError, TypeError, ValueError or struct.error.
    """
    return _Machine(data).run()


class _Machine:
    """State of the machine: the program, its position, the stack and the memo."""

    def __init__(self, data: bytes):
        self.data = data
        self.at = 2  # after PROTO
        self.stack: list[Any] = []
        self.below: list[list] = []  # the stacks under each MARK
        self.memo: dict[int, object] = {}
        self.shared: set[int] = set()  # id() of containers used in several places; the memo keeps them alive
        self.containers = 0

    def run(self) -> object:
        for _ in range(MAX_STEPS):
            code = self.data[self.at]
            self.at += 1
            if code == _STOP:
                return self.result()
            handler = _HANDLERS.get(code)
            if handler is None:
                raise Refused(_OPCODES.get(code, f"the unknown opcode 0x{code:02x}"))
            handler(self)
        raise Refused(f"more than {MAX_STEPS:,} values")

    def result(self) -> object:
        if len(self.stack) != 1 or self.below:
            raise Damaged
        if self.at != len(self.data):
            raise Refused(f"{len(self.data) - self.at:,} bytes after its end")
        _check_plain(self.stack[0])
        return self.stack[0]

    def take(self, count: int) -> bytes:
        taken = self.data[self.at : self.at + count]
        if len(taken) != count:
            raise Damaged
        self.at += count
        return taken

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")

    def frame(self) -> None:
        if self.number(8) > len(self.data) - self.at:
            raise Damaged

    def push(self, value: object) -> None:
        self.stack.append(value)

    def push_integer(self, count: int) -> None:
        value = int.from_bytes(self.take(count), "little", signed=True)
        if value not in _INTEGERS:
            raise Refused("a whole number of more than 64 bits")
        self.push(value)

    def push_text(self, width: int) -> None:
        self.push(self.take(self.number(width)).decode("utf-8"))

    def push_container(self, value: object) -> None:
        self.containers += 1
        if self.containers > MAX_CONTAINERS:
            raise Refused(f"more than {MAX_CONTAINERS:,} lists, tuples, dicts and sets")
        self.push(value)

    def mark(self) -> None:
        # A mark ends with the container that it begins, so in valid pickles marks nest no deeper than the data.
        if len(self.below) >= 2 * MAX_DEPTH:
            raise Refused(f"data nested deeper than {MAX_DEPTH} levels")
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list:
        items, self.stack = self.stack, self.below.pop()
        return items

    def last(self, count: int) -> list:
        if len(self.stack) < count:
            raise Damaged
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def fill_list(self, items: list) -> None:
        self.filled(list).extend(items)

    def fill_set(self, items: list) -> None:
        self.filled(set).update(_keys(items))

    def fill_dict(self, items: list) -> None:
        if len(items) % 2:
            raise Damaged
        self.filled(dict).update(zip(_keys(items[::2]), items[1::2], strict=True))

    def filled(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind or id(self.stack[-1]) in self.shared:
            raise Damaged
        return self.stack[-1]

    def remember(self, place: int) -> None:
        self.memo[place] = self.stack[-1]
        if len(self.memo) > MAX_MEMO:
            raise Refused(f"more than {MAX_MEMO:,} remembered values")

    def recall(self, place: int) -> None:
        value = self.memo[place]
        if isinstance(value, _CONTAINERS):
            # Lists that repeat one list ten times, nested n deep, make 10^n values of a few bytes. A small flat
            # container in two places, such as a position of two images, is harmless as long as nothing is added to it.
            members = value.values() if isinstance(value, dict) else value
            if len(value) > MAX_SHARED or not set(map(type, members)) <= _LEAVES:
                raise Refused("one large or nested list, tuple, dict or set in two places")
            self.shared.add(id(value))
        self.push(value)

    def name(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise Damaged
        call = _NAMES.get((module, name))
        if call is None:
            raise Refused(f"a request to load '{printable(module)}.{printable(name)}', which is never done")
        self.push(call)

    def line(self) -> str:
        end = self.data.index(b"\n", self.at)
        text = self.data[self.at : end].decode("utf-8")
        self.at = end + 1
        return text

    def reduce(self) -> None:
        call, arguments = self.last(2)
        if not isinstance(call, _Call) or type(arguments) is not tuple:
            raise Damaged
        if call is _Call.SET:
            (items,) = arguments
            self.push_container(set(_keys(items)))
        elif call is _Call.ENCODE:
            text, encoding = arguments
            if not isinstance(text, str) or encoding != "latin1":
                raise Damaged
            self.push(text.encode("latin-1"))
        elif call is _Call.DTYPE:
            code, *_flags = arguments
            if code not in _NUMBERS and not re.fullmatch(r"U[1-9][0-9]{0,3}", code, re.ASCII):
                raise Refused(f"NumPy data of the type '{printable(code)}', neither numbers nor text")
            self.push(_DType(code))
        else:
            dtype, data = arguments
            if not isinstance(dtype, _DType) or not isinstance(data, bytes):
                raise Damaged
            self.push(dtype.read(data))

    def build(self) -> None:
        dtype, state = self.last(2)
        if not isinstance(dtype, _DType) or type(state) is not tuple:
            raise Damaged
        # NumPy's dtype.__setstate__: version, byte order, subdtype, names, fields, size, alignment, flags, …
        _version, order, *parts = state
        if order not in ("<", ">", "|") or parts[:3] != [None, None, None]:
            raise Refused("NumPy data with several fields")
        dtype.order = order.replace("|", "<")
        self.push(dtype)


def _keys(items: object) -> list:
    if type(items) is not list or not set(map(type, items)) <= _KEYS:
        raise Refused("a key or a member of a set that is neither a number nor text")
    return items


def _check_plain(value: object) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        deeper: list = []
        for part in level:
            if isinstance(part, _CONTAINERS):
                deeper.extend(part.values() if isinstance(part, dict) else part)
            elif type(part) not in _LEAVES:
                raise Refused("a function or a dtype among the data")
        if not deeper:
            return
        level = deeper
    raise Refused(f"data nested deeper than {MAX_DEPTH} levels")


_HANDLERS_BY_NAME: dict[str, Callable[[_Machine], None]] = {
    "FRAME": _Machine.frame,
    "MARK": _Machine.mark,
    "NONE": lambda machine: machine.push(None),
    "NEWTRUE": lambda machine: machine.push(True),
    "NEWFALSE": lambda machine: machine.push(False),
    "BININT": lambda machine: machine.push_integer(4),
    "BININT1": lambda machine: machine.push(machine.number(1)),
    "BININT2": lambda machine: machine.push(machine.number(2)),
    "LONG1": lambda machine: machine.push_integer(machine.number(1)),
    "BINFLOAT": lambda machine: machine.push(struct.unpack(">d", machine.take(8))[0]),
    "SHORT_BINUNICODE": lambda machine: machine.push_text(1),
    "BINUNICODE": lambda machine: machine.push_text(4),
    "SHORT_BINBYTES": lambda machine: machine.push(machine.take(machine.number(1))),
    "BINBYTES": lambda machine: machine.push(machine.take(machine.number(4))),
    "EMPTY_LIST": lambda machine: machine.push_container([]),
    "EMPTY_DICT": lambda machine: machine.push_container({}),
    "EMPTY_SET": lambda machine: machine.push_container(set()),
    "EMPTY_TUPLE": lambda machine: machine.push_container(()),
    "TUPLE1": lambda machine: machine.push_container(tuple(machine.last(1))),
    "TUPLE2": lambda machine: machine.push_container(tuple(machine.last(2))),
    "TUPLE3": lambda machine: machine.push_container(tuple(machine.last(3))),
    "TUPLE": lambda machine: machine.push_container(tuple(machine.since_mark())),
    "APPEND": lambda machine: machine.fill_list(machine.last(1)),
    "APPENDS": lambda machine: machine.fill_list(machine.since_mark()),
    "SETITEM": lambda machine: machine.fill_dict(machine.last(2)),
    "SETITEMS": lambda machine: machine.fill_dict(machine.since_mark()),
    "ADDITEMS": lambda machine: machine.fill_set(machine.since_mark()),
    "MEMOIZE": lambda machine: machine.remember(len(machine.memo)),
    "BINPUT": lambda machine: machine.remember(machine.number(1)),
    "LONG_BINPUT": lambda machine: machine.remember(machine.number(4)),
    "BINGET": lambda machine: machine.recall(machine.number(1)),
    "LONG_BINGET": lambda machine: machine.recall(machine.number(4)),
    "GLOBAL": lambda machine: machine.name(machine.line(), machine.line()),
    "STACK_GLOBAL": lambda machine: machine.name(*machine.last(2)),
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
}
_OPCODES = {ord(opcode.code): f"the opcode {opcode.name}" for opcode in pickletools.opcodes}
_HANDLERS = {ord(opcode.code): _HANDLERS_BY_NAME.get(opcode.name) for opcode in pickletools.opcodes}
_STOP = ord(".")
