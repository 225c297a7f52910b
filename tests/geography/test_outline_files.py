"""Borders of cells survive their file, other programs can read it, and what is no such file is refused."""

import json
import math
from pathlib import Path

import pytest
import shapely

from geoexplain.errors import DataError
from geoexplain.geography.outline_files import read_outlines, write_outlines

ISLANDS = shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(3, 0, 4.25, 1)])
RING_WITH_LAKE = shapely.box(10, 10, 20, 20) - shapely.box(14, 14, 16, 16)
ACROSS_180 = shapely.box(177.5, -20, 184.5, -15)
SQUARE = [[0, 0], [1, 0], [1, 1], [0, 0]]


def written(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def collection(*geometries: object) -> dict[str, object]:
    return {"type": "FeatureCollection", "features": [{"geometry": one} for one in geometries]}


def test_borders_survive_their_file(tmp_path: Path) -> None:
    file = tmp_path / "m.outlines.geojson"
    borders = (ISLANDS, None, RING_WITH_LAKE, ACROSS_180, shapely.Polygon())
    write_outlines(file, borders, ["<islands>", "nowhere", "lake", "Fiji", "empty"])
    found = read_outlines(file, 5)
    assert found[1] is found[4] is None
    for before, after in zip(borders, found, strict=True):
        assert (after is None) == (before is None or before.is_empty)
        assert after is None or after.equals(before)


def test_it_is_geojson_for_others(tmp_path: Path) -> None:
    file = tmp_path / "m.geojson"
    write_outlines(file, [RING_WITH_LAKE, None], ["lake", "nowhere"])
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content["type"] == "FeatureCollection"
    lake, nowhere = content["features"]
    assert (lake["type"], lake["properties"]) == ("Feature", {"label": "lake"})
    assert lake["geometry"]["type"] == "Polygon"
    assert [len(ring) for ring in lake["geometry"]["coordinates"]] == [5, 5]
    assert nowhere["geometry"] is None


def test_what_crosses_itself_is_mended(tmp_path: Path) -> None:
    bow = [[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]
    (border,) = read_outlines(written(tmp_path / "bow.json", collection({"type": "Polygon", "coordinates": [bow]})), 1)
    assert border is not None
    assert border.is_valid
    assert border.area == pytest.approx(2)  # two triangles of height 1 over a side of 2


def test_what_geos_itself_fails_on_is_mended(tmp_path: Path) -> None:
    torn = [[1, 0], [84.96237488868564, 5.991428195636871], [1e-300, 0], [90, 5e-324], [1e-9, -90], [1e-9, 5e-324]]
    (border,) = read_outlines(written(tmp_path / "a.json", collection({"type": "Polygon", "coordinates": [torn]})), 1)
    assert border is not None
    assert border.is_valid


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[" * 100_000,
        [],
        {"type": "FeatureCollection"},
        {"type": "Feature", "geometry": None},
        collection({"type": "Point", "coordinates": [0, 0]}),
        collection({"type": "Polygon", "coordinates": [SQUARE[:3]]}),
        collection({"type": "Polygon", "coordinates": []}),
        collection({"type": "Polygon", "coordinates": [[["0", "0"], ["1", "0"], ["1", "1"], ["0", "0"]]]}),
        collection({"type": "Polygon", "coordinates": [[[0, 0], [0, 91], [1, 1], [0, 0]]]}),
        collection({"type": "Polygon", "coordinates": [[[0, 0], [1000, 1], [1, 1], [0, 0]]]}),
        collection({"type": "Polygon", "coordinates": [[[0, 0], [math.nan, 0], [1, 1], [0, 0]]]}),
        collection(7),
        collection(None, None),
    ],
    ids=range(14),
)
def test_what_is_no_such_file_is_refused_by_name(tmp_path: Path, content: object) -> None:
    with pytest.raises(DataError, match=r"^bad\.geojson: expected"):
        read_outlines(written(tmp_path / "bad.geojson", content), 1)


def test_what_is_no_area_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="LineString"):
        write_outlines(tmp_path / "m.geojson", [shapely.LineString([(0, 0), (1, 1)])], ["line"])
