"""Pickles of plain data give the values that Python gives; all others are refused and execute nothing."""

import contextlib
import os
import pickle
import pickletools
import random
import struct
import sys
import tracemalloc
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from geoexplain.errors import DataError
from geoexplain.files import machine, read_pickle

PROTOCOLS = (2, 3, 4, 5)
END = b"."


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], object]:
    def reader(data: bytes) -> object:
        file = tmp_path / "data.pkl"
        file.write_bytes(data)
        return read_pickle(file)

    return reader


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_is_read_as_pickled(read: Callable, protocol: int) -> None:
    data = {
        "text": ["", "plain", "é – 東京", "x" * 300],
        "whole": [0, 1, -1, 255, 256, 65535, 65536, -(2**31), 2**31, 2**63 - 1, -(2**63), 2**64 - 1],
        "real": [0.0, -1.5, 1e300, float("inf")],
        "others": (None, True, False),
        "sets": [set(), {5}, {"a", "b"}],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        3: {},
    }
    if protocol > 2:  # which stores no bytes, beside those of a scalar
        data["bytes"] = [b"", b"bytes\xff", b"y" * 300]
    found = read(pickle.dumps(data, protocol=protocol))
    assert found == data
    assert list(map(type, found["others"])) == list(map(type, data["others"]))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("members", [3, 999, 5000])
def test_sets_keep_the_order_python_gives_them(read: Callable, protocol: int, members: int) -> None:
    draw = random.Random(members)
    data = {cell: {draw.randrange(10**6) for _ in range(members)} for cell in range(3)}
    stored = pickle.dumps(data, protocol=protocol)
    mine, pythons = read(stored), pickle.loads(stored)
    assert mine == data
    assert [list(rows) for rows in mine.values()] == [list(rows) for rows in pythons.values()]


SCALARS = [
    np.float64(36.97537128391929),
    np.float32(0.1),
    np.float16(0.5),
    np.int64(-(2**62)),
    np.uint8(200),
    np.int16(-3),
    np.bool_(True),
    np.str_("-79.365637"),
    np.str_("Łódź 𝄞"),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("scalar", SCALARS, ids=lambda scalar: type(scalar).__name__)
def test_numpy_scalars_become_the_python_value(read: Callable, protocol: int, scalar: np.generic) -> None:
    first, second = read(pickle.dumps([scalar, (scalar, scalar)], protocol=protocol))
    assert [first, *second] == [scalar.item()] * 3
    assert type(first) is type(scalar.item())


def short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


# The scalar 1.5, opcode by opcode, as it leaves NumPy; `call` puts multiarray.scalar on the stack, `dtype` numpy.dtype.
def scalar_program(
    call: bytes, dtype: bytes, code: str = "f8", data: bytes = struct.pack("<d", 1.5), order: str = "<"
) -> bytes:
    made = dtype + short(code) + b"\x89\x88\x87R"  # (code, False, True) REDUCE
    state = b"(K\x03" + short(order) + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"  # BUILD
    return b"\x80\x04" + call + made + state + b"C" + bytes([len(data)]) + data + b"\x86R" + END


def stack_global(module: str, name: str) -> bytes:
    return short(module) + short(name) + b"\x93"


def line_global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


SCALAR = stack_global("numpy.core.multiarray", "scalar")
DTYPE = stack_global("numpy", "dtype")


@pytest.mark.parametrize("name_opcode", [stack_global, line_global])
@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_both_of_numpys_names_are_known(read: Callable, name_opcode: Callable, module: str) -> None:
    program = scalar_program(name_opcode(module, "scalar"), name_opcode("numpy", "dtype"))
    assert read(program) == pickle.loads(program) == 1.5


@pytest.mark.parametrize("code", ["f8", "f4", "i4", "u2"])
@pytest.mark.parametrize("order", "<>")
def test_the_order_of_bytes_is_the_dtypes(read: Callable, order: str, code: str) -> None:
    data = np.array([42], order + code).tobytes()
    assert read(scalar_program(SCALAR, DTYPE, code, data, order)) == 42


@pytest.mark.parametrize(("order", "codec"), [("<", "utf-32-le"), (">", "utf-32-be")])
def test_text_in_either_order_of_bytes(read: Callable, order: str, codec: str) -> None:
    # U6 holds six letters; NumPy fills the rest with zeros, which are no letters.
    assert read(scalar_program(SCALAR, DTYPE, "U6", "12.5\0\0".encode(codec), order)) == "12.5"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_position_that_two_images_share_is_read_for_both(read: Callable, protocol: int) -> None:
    place, pair = {"lat": "1.5", "lon": np.str_("2")}, (np.float64(1), 2.0)
    data = {"a": place, "b": place, "c": [pair, pair, pair]}
    assert read(pickle.dumps(data, protocol=protocol)) == data


class Reduced:
    def __init__(self, call: Callable, *arguments: object):
        self.reduced = call, arguments

    def __reduce__(self) -> tuple:
        return self.reduced


class Persistent(pickle.Pickler):
    def persistent_id(self, obj: object) -> object:
        return "secret" if isinstance(obj, int) else None


def persistent(path: Path) -> bytes:
    with path.open("wb") as file:
        Persistent(file, protocol=4).dump([1])
    return path.read_bytes()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (lambda canary: Reduced(os.system, f"touch '{canary}'"), f"{os.system.__module__}.system"),
        (lambda canary: Reduced(eval, f"open({str(canary)!r}, 'w')"), "eval"),
        (lambda canary: {"a": [Reduced(exec, f"open({str(canary)!r}, 'w')")]}, "exec"),
        (lambda canary: Reduced(open, str(canary), "w"), "open"),
        (lambda canary: Reduced(np.load, str(canary)), "load"),
        (lambda canary: np.arange(3.0), "'numpy."),
        (lambda canary: OrderedDict(a=1), "collections.OrderedDict"),
        (lambda canary: canary, "Path"),
    ],
)
def test_calls_of_other_functions_are_refused_by_name(
    read: Callable, tmp_path: Path, protocol: int, harm: Callable, named: str
) -> None:
    canary = tmp_path / "canary"
    with pytest.raises(DataError, match="plain data") as refused:
        read(pickle.dumps(harm(canary), protocol=protocol))
    assert named in str(refused.value)
    assert str(refused.value).startswith("data.pkl: ")
    assert not canary.exists()


DAMAGED = "damaged or cut short"
PROTO = b"\x80\x04"


def laughs() -> list:
    """Return a pickle of ten lists of ten lists and so on: 10^10 values in 300 bytes."""
    values: list = ["ha"] * 10
    for _ in range(9):
        values = [values] * 10
    return values


HOSTILE = {
    "stack global": (PROTO + stack_global("posix", "system") + short("id") + b"\x85R.", "posix.system"),
    "global of a module never imported": (PROTO + stack_global("antigravity", "fly") + END, "antigravity.fly"),
    "dots": (PROTO + stack_global("numpy", "dtype.__class__.__base__") + END, "dtype.__class__"),
    "letters that hide": (PROTO + b"cos\x1b[2J\nsystem\n.", "never done"),
    "instance": (PROTO + b"(ios\nsystem\n.", "opcode INST"),
    "object": (PROTO + b"(" + SCALAR + b"o.", "opcode OBJ"),
    "new object": (PROTO + DTYPE + b")\x81.", "opcode NEWOBJ"),
    "extension": (PROTO + b"\x82\x01.", "opcode EXT1"),
    "larger extension": (PROTO + b"\x84\x01\x00\x00\x00.", "opcode EXT4"),
    "persistent id": (PROTO + short("secret") + b"Q.", "opcode BINPERSID"),
    "persistent id in text": (PROTO + b"Psecret\n.", "opcode PERSID"),
    "buffer": (b"\x80\x05\x97.", "opcode NEXT_BUFFER"),
    "unknown opcode": (PROTO + b"\xff.", "0xff"),
    "dtype of objects": (scalar_program(SCALAR, DTYPE, "O8", b"x" * 8), "'O8'"),
    "dtype of fields": (scalar_program(SCALAR, DTYPE, "V8", b"x" * 8), "'V8'"),
    "dtype of dates": (scalar_program(SCALAR, DTYPE, "M8", b"x" * 8), "'M8'"),
    "dtype of a gigabyte": (scalar_program(SCALAR, DTYPE, "U999999999", b"x" * 8), "'U999999999'"),
    "bytes too few": (scalar_program(SCALAR, DTYPE, "f8", b"x" * 7), DAMAGED),
    "no letters": (scalar_program(SCALAR, DTYPE, "U2", b"\xff" * 8), DAMAGED),
    "data called": (PROTO + short("os") + short("id") + b"\x85R.", DAMAGED),
    "a name as data": (PROTO + b"]" + SCALAR + b"a.", "among the data"),
    "a name as a key": (PROTO + b"}" + SCALAR + b"Ns.", "a key"),
    "a tuple as a key": (PROTO + b"})Ns.", "a key"),
    "a state on a dict": (PROTO + b"}}b.", DAMAGED),
    "set of a text": (PROTO + stack_global("builtins", "set") + short("abc") + b"\x85R.", "a key"),
    "codec": (PROTO + stack_global("_codecs", "encode") + short("a") + short("zlib") + b"\x86R.", DAMAGED),
    "a list in itself": (PROTO + b"]\x94h\x00a.", DAMAGED),
    "a list in a list in itself": (PROTO + b"]\x94]\x94h\x00ah\x01a.", "in two places"),
    "a list that grows behind a tuple": (PROTO + b"]\x94h\x00\x85a.", DAMAGED),
    "a long list in two places": (PROTO + b"](](" + b"N" * 17 + b"e\x94h\x00e.", "in two places"),
    "a memo never filled": (PROTO + b"h\x07.", DAMAGED),
    "nothing on the stack": (PROTO + b"a.", DAMAGED),
    "two values": (PROTO + b"NN.", DAMAGED),
    "no value": (PROTO + b".", DAMAGED),
    "an open mark": (PROTO + b"(N.", DAMAGED),
    "half a pair": (PROTO + b"}(Nu.", DAMAGED),
    "text that is none": (PROTO + b"\x8c\x01\xff.", DAMAGED),
    "trailing bytes": (PROTO + b"N.N", "1 bytes after its end"),
    "second pickle": (PROTO + b"N." + PROTO + b"N.", "4 bytes after its end"),
    "no end": (PROTO + b"N", DAMAGED),
    "a whole number of 4 GB": (PROTO + b"\x8b\xff\xff\xff\x7f\x01.", "opcode LONG4"),
    "a whole number of 72 bits": (PROTO + b"\x8a\x09" + b"\x01" * 9 + END, "more than 64 bits"),
    "bytes of 2^62": (PROTO + b"\x8e" + struct.pack("<Q", 2**62) + b"x.", "opcode BINBYTES8"),
    "bytes of 4 GB": (PROTO + b"B\xff\xff\xff\xffx.", DAMAGED),
    "text of 4 GB": (PROTO + b"X\xff\xff\xff\xffx.", DAMAGED),
    "frame of 2^62": (PROTO + b"\x95" + struct.pack("<Q", 2**62) + b"N.", DAMAGED),
    "memo place of 4 billion": (PROTO + b"Nr\xff\xff\xff\xffN.", DAMAGED),
    "deep lists": (PROTO + b"]" * 1000 + b"a" * 999 + END, "nested deeper"),
    "deep tuples": (PROTO + b"N" + b"\x85" * 100_000 + END, "nested deeper"),
    "deep marks": (PROTO + b"(" * 100_000 + b"t" * 100_000 + END, "nested deeper"),
    "billion laughs": (pickle.dumps(laughs(), protocol=4), "in two places"),
    "text protocol": (b"cos\nsystem\n(S'id'\ntR.", "something else"),
    "protocol of tomorrow": (b"\x80\x06N.", "something else"),
    "HTML": (b"<!DOCTYPE html><html>", "something else"),
    "empty": (b"", "an empty file"),
}


@pytest.mark.parametrize(("program", "sentence"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_programs_get_one_sentence(read: Callable, program: bytes, sentence: str) -> None:
    before = set(sys.modules)
    with pytest.raises(DataError) as refused:
        read(program)
    text = str(refused.value)
    assert sentence in text
    assert text.startswith("data.pkl: expected ")
    assert text.isprintable()
    assert len(text) < 400
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    "bomb", ["a whole number of 4 GB", "bytes of 2^62", "text of 4 GB", "memo place of 4 billion", "frame of 2^62",
             "billion laughs", "dtype of a gigabyte", "deep tuples"]
)  # fmt: skip
def test_a_small_file_takes_little_memory(read: Callable, bomb: str) -> None:
    program, _ = HOSTILE[bomb]
    tracemalloc.start()
    with pytest.raises(DataError):
        read(program)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60 * len(program) + 2**20


@pytest.mark.parametrize(
    ("limit", "opcode", "bytes_each"),
    [("MAX_CONTAINERS", b"\x8f", 240), ("MAX_MEMO", b"\x94", 150), ("MAX_STEPS", b"N", 16)],
)
def test_memory_is_bounded_for_one_large_value(
    read: Callable, monkeypatch: pytest.MonkeyPatch, limit: str, opcode: bytes, bytes_each: int
) -> None:
    # In Python, a set takes 216 bytes, a memo entry an entry of a dict and its number, a None a place on the stack.
    monkeypatch.setattr(machine, limit, 20_000)
    program = PROTO + b"N" + opcode * 1_000_000
    tracemalloc.start()
    with pytest.raises(DataError, match="more than 20,000"):
        read(program)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000 * bytes_each + 2 * len(program)


def test_numbers_that_hash_alike_are_refused_before_they_are_sorted(read: Callable) -> None:
    # Every multiple of 2^61 - 1 hashes to 0; a set of 10^5 of them takes Python a minute.
    members = b"".join(b"\x8a\x0a" + (place * (2**61 - 1)).to_bytes(10, "little") for place in range(10**5))
    with pytest.raises(DataError, match="64 bits"):
        read(PROTO + b"\x8f(" + members + b"\x90.")


def test_every_cut_of_a_pickle_is_refused(read: Callable) -> None:
    whole = pickle.dumps({"a": (np.float64(1), np.str_("2.5")), "b": {1, 2, 300}}, protocol=4)
    for length in range(len(whole)):
        with pytest.raises(DataError):
            read(whole[:length])


def test_no_mutation_does_anything_but_read_or_refuse(read: Callable) -> None:
    draw = random.Random(7)
    whole = bytearray(pickle.dumps({"a": (np.float64(1), np.str_("2.5")), "b": {1, 2, 300}}, protocol=4))
    for _ in range(300):
        changed = whole.copy()
        for _ in range(draw.randrange(1, 4)):
            changed[draw.randrange(2, len(changed))] = draw.randrange(256)
        with contextlib.suppress(DataError):
            assert isinstance(read(bytes(changed)), dict | list | tuple | set | str | bytes | int | float | None)


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    sparse = tmp_path / "large.pkl"
    with sparse.open("wb") as file:
        file.truncate(2**36)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"large.pkl: expected at most 16,777,216 bytes, got 68,719,476,736"):
        read_pickle(sparse)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20
    small = tmp_path / "small.pkl"
    small.write_bytes(pickle.dumps(list(range(100))))
    with pytest.raises(DataError, match="at most 50 bytes"):
        read_pickle(small, max_bytes=50)


def test_pipes_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.pkl"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, tmp_path / "none.pkl", Path("a\0b")):
        with pytest.raises(DataError, match="expected a"):
            read_pickle(path)


def test_a_persistent_id_of_pythons_own_pickler_is_refused(read: Callable, tmp_path: Path) -> None:
    stored = persistent(tmp_path / "stored")
    assert "BINPERSID" in {opcode.name for opcode, _, _ in pickletools.genops(stored)}
    with pytest.raises(DataError, match="BINPERSID"):
        read(stored)
