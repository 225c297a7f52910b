"""Natural Earth's files as people have them: zipped, unpacked, as GeoJSON, and as somebody prepared them to do harm."""

import io
import json
import os
import zipfile
from pathlib import Path

import pytest

from geoexplain.errors import DataError
from geoexplain.geography import naturalearth
from geoexplain.geography.geojson import read_geojson
from geoexplain.geography.naturalearth import Layer, read_layer
from tests.geography.maps import dbf_bytes, polygon_body, shp_bytes, square, write_geojson

SHP = shp_bytes([polygon_body([square(10, 20, 11, 22)])])
DBF = dbf_bytes([("featurecla", "C", 8)], [(b"Desert",)])


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def read(folder: Path) -> Layer:
    layer = read_layer(folder, "lakes")
    assert layer is not None
    return layer


def test_every_form_of_a_layer_gives_the_same(tmp_path: Path) -> None:
    forms = {name: tmp_path / name for name in ("zip", "inner", "shp", "unpacked", "json", "geojson")}
    for folder in forms.values():
        folder.mkdir()
    members = {"ne_50m_lakes.shp": SHP, "ne_50m_lakes.dbf": DBF, "ne_50m_lakes.prj": b"x", "README.html": b"y"}
    (forms["zip"] / "ne_50m_lakes.zip").write_bytes(zipped(members))
    (forms["inner"] / "ne_50m_lakes.zip").write_bytes(zipped({f"a/b/{name}": data for name, data in members.items()}))
    (forms["unpacked"] / "ne_50m_lakes").mkdir()
    for folder in (forms["shp"], forms["unpacked"] / "ne_50m_lakes"):
        for name, data in members.items():
            (folder / name).write_bytes(data)
    for ending in ("json", "geojson"):
        rings = [square(10, 20, 11, 22)]
        write_geojson(forms[ending] / f"ne_50m_lakes.{ending}", [({"FEATURECLA": "Desert"}, rings)])
    layers = {name: read(folder) for name, folder in forms.items()}
    for layer in layers.values():
        assert layer.name == "ne_50m_lakes"
        (feature,) = layer.features
        assert feature.properties == {"featurecla": "Desert"}
        assert feature.shape.bounds == (10, 20, 11, 22)
        assert feature.shape.area == 2
    digests = {name: layer.sha256 for name, layer in layers.items()}
    assert digests["zip"] == digests["inner"] == digests["shp"] == digests["unpacked"] != digests["json"]


def test_the_scale_of_one_to_fifty_million_is_taken_first(tmp_path: Path) -> None:
    assert read_layer(tmp_path, "lakes") is None
    for scale, width in (("110m", 3), ("10m", 2), ("50m", 1)):
        write_geojson(tmp_path / f"ne_{scale}_lakes.json", [({}, [square(0, 0, width, 1)])])
        assert read(tmp_path).features[0].shape.area == width


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("ne_50m_lakes.7z", b"7z", "ne_50m_lakes.7z: expected a .zip, .shp or GeoJSON file, got an archive: unpack it"),
        ("ne_50m_lakes.zip", b"no zip", "ne_50m_lakes.zip: expected a zip with ne_50m_lakes.shp"),
        ("ne_50m_lakes.zip", zipped({"ne_50m_lakes.shp": SHP}), "with ne_50m_lakes.shp and ne_50m_lakes.dbf"),
        ("ne_50m_lakes.zip", zipped({"ne_50m_land.shp": SHP, "ne_50m_land.dbf": DBF}), "with ne_50m_lakes.shp"),
        ("ne_50m_lakes.zip", zipped({"ne_50m_lakes.shp": SHP, "ne_50m_lakes.dbf": DBF})[:200], "damaged file"),
        ("ne_50m_lakes.shp", SHP, "ne_50m_lakes.dbf: expected a readable file"),
        ("ne_50m_lakes.json", b"{", "ne_50m_lakes.json: expected GeoJSON"),
        ("ne_50m_lakes.json", b"[" * 100_000, "ne_50m_lakes.json: expected GeoJSON"),
        ("ne_50m_lakes.json", b"\xff\xfe", "ne_50m_lakes.json: expected GeoJSON"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, file: str, content: bytes, sentence: str) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert sentence in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_no_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a folder of Natural Earth's files"):
        read_layer(tmp_path / "nowhere", "lakes")


@pytest.mark.parametrize("packed", [True, False])
def test_nothing_grows_beyond_its_bound(tmp_path: Path, packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # A hundred times as much as its packed size: the bound holds for what comes out, too.
    monkeypatch.setattr(naturalearth, "MAX_BYTES", 100_000)
    bomb = zipped({"ne_50m_lakes.shp": SHP + bytes(10_000_000), "ne_50m_lakes.dbf": DBF})
    assert len(bomb) < 100_000
    if packed:
        (tmp_path / "ne_50m_lakes.zip").write_bytes(bomb)
    else:
        (tmp_path / "ne_50m_lakes.json").write_bytes(bytes(100_001))
    with pytest.raises(DataError, match="expected at most 100,000 bytes"):
        read(tmp_path)


def test_nothing_is_written_wherever_a_member_wants_to_go(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    up = {"../../ne_50m_lakes.shp": SHP, "/ne_50m_lakes.dbf": DBF, "../escaped": b"x"}
    (folder / "ne_50m_lakes.zip").write_bytes(zipped(up))
    assert len(read(folder).features) == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "ne_50m_lakes.zip"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ne_50m_lakes.shp")
    with pytest.raises(DataError, match="got a device or a pipe"):
        read(tmp_path)


def geojson_of(geometry: object, properties: object = None) -> bytes:
    feature = {"type": "Feature", "geometry": geometry, "properties": properties}
    return json.dumps({"type": "FeatureCollection", "features": [feature]}).encode()


def test_geojson_by_hand() -> None:
    shell, hole = [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]], [[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]]
    high = [[[10, 10, 99.5], [11, 10, 99.5], [11, 11, 99.5], [10, 10, 99.5]]]
    data = geojson_of(
        {"type": "MultiPolygon", "coordinates": [[shell, hole], high]}, {"Name": " Q ", "POP": 3, "x": None}
    )
    (feature,) = read_geojson(data, "hand")
    assert feature.shape.area == 16 - 1 + 0.5
    assert feature.properties == {"name": "Q", "pop": 3.0, "x": None}
    assert read_geojson(geojson_of(None), "hand")[0].shape is None
    assert read_geojson(geojson_of({"type": "Point", "coordinates": [7, 8]}), "hand")[0].shape.coords[0] == (7, 8)


SQUARE = [[0, 0], [1, 0], [1, 1], [0, 0]]


@pytest.mark.parametrize(
    "data",
    [
        b"7",
        b"[]",
        b'{"type": "Feature"}',
        b'{"type": "FeatureCollection", "features": 3}',
        b'{"type": "FeatureCollection", "features": [7]}',
        b'{"type": "FeatureCollection", "features": [{"geometry": null}]}',
        geojson_of(None, [1]),
        geojson_of({"type": "LineString", "coordinates": SQUARE}),
        geojson_of({"type": "Point", "coordinates": []}),
        geojson_of({"type": "Point", "coordinates": ["a", "b"]}),
        geojson_of({"type": "Point", "coordinates": [10**400, 0]}),
        geojson_of({"type": "Point", "coordinates": [float("inf"), 0]}),
        geojson_of({"type": "Polygon", "coordinates": [["12", "34", "56", "78"]]}),
        geojson_of({"type": "Polygon", "coordinates": [[[True, False]] * 4]}),
        geojson_of({"type": "Polygon", "coordinates": [[[0, None]] * 4]}),
        geojson_of({"type": "Polygon", "coordinates": [[]]}),
        geojson_of({"type": "Polygon", "coordinates": [SQUARE[:3]]}),
        geojson_of({"type": "Polygon", "coordinates": [[[0, 0], [1000, 0], [1000, 1000], [0, 0]]]}),
        geojson_of({"type": "Polygon"}),
        geojson_of({"type": "Polygon", "coordinates": 5}),
    ],
)
def test_other_geojson_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match=r"^strange: expected"):
        read_geojson(data, "strange")
