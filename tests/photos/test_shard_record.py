"""Every value that MessagePack writes is read, or skipped to the exact byte."""

from pathlib import Path

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoexplain.photos.shard_record import Blob, Extension, Nested, read_record


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("record") / "any.msg"


@settings(max_examples=40, deadline=None)
@given(
    entry=st.dictionaries(
        st.text(max_size=8),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(2**63), 2**64 - 1)
            | st.floats(allow_nan=False)
            | st.text(max_size=40)
            | st.binary(max_size=40)
            | st.integers(1000, 70_000).map(bytes)
            | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=20)),
            lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=3),
            max_leaves=6,
        ),
        max_size=20,
    )
)
def test_every_kind_of_value_is_read_or_skipped(path: Path, entry: dict) -> None:
    data = msgpack.packb(entry)
    path.write_bytes(data + msgpack.packb({"next": 1}))
    with path.open("rb") as file:
        found = read_record(file)
        assert file.tell() == len(data)
        assert read_record(file) == {"next": 1}
        assert read_record(file) is None
    assert found is not None
    assert found.keys() == entry.keys()
    for name, value in entry.items():
        got = found[name]
        if isinstance(value, str | bytes):
            wanted = value.encode() if isinstance(value, str) else value
            assert isinstance(got, Blob)
            assert (data + b" ")[got.offset : got.offset + got.length] == wanted
            assert got.data == (wanted if len(wanted) <= 1024 else None)
        elif isinstance(value, msgpack.ExtType):
            assert got == Extension()
        elif isinstance(value, list | dict):
            assert got == Nested()
        else:
            assert got == value
            assert type(got) is type(value)
