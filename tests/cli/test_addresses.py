"""`geoexplain addresses`: a table in, two tables out, and a server that is asked only once."""

from pathlib import Path

import pytest

from geoexplain.geography.addresses.address_file import read_addresses
from tests.cli.conftest import Run
from tests.geography.addresses.names import names
from tests.geography.addresses.nominatim_server import answer, place, running
from tests.geography.maps import square, write_geojson


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "photos.csv"
    file.write_text("id,latitude,longitude\na,48.8584,2.2945\nb,29.57,35.42\nc,0,0\n")
    return file


def test_offline(run: Run, table: Path) -> None:
    out = table.with_name("addresses.csv")
    outcome = run("addresses", "--coordinates", table, "--out", out)
    assert (outcome.code, outcome.err) == (0, "")
    assert (
        outcome.out == f"{out}: 3 coordinates in 11 places; their names in {out.with_name('addresses.locations.csv')}\n"
    )
    found = read_addresses(out)
    assert found.points_deg.tolist() == [[48.8584, 2.2945], [29.57, 35.42], [0.0, 0.0]]
    assert [path[0] for path in names(found)] == ["Paris", "Aqaba", "Gulf of Guinea"]


def test_nature(run: Run, table: Path) -> None:
    desert = ({"featurecla": "Desert", "name": "Red Sand"}, [square(34, 28, 37, 31)])
    write_geojson(table.with_name("ne_50m_geography_regions_polys.geojson"), [desert])
    out = table.with_name("nature.csv")
    outcome = run("addresses", "--coordinates", table, "--naturalearth", table.parent, "--out", out)
    assert outcome.code == 0
    assert "1 without an address" in outcome.out
    assert names(read_addresses(out))[:2] == [[], ["Red Sand", "Deserts"]]


def test_nominatim_goes_on_where_it_was(run: Run, table: Path) -> None:
    out = table.with_name("osm.csv")
    with running() as server:
        words = [
            "addresses",
            "--coordinates",
            table,
            "--nominatim",
            server.host,
            "--user-agent",
            "test",
            "--rate",
            1000,
        ]
        server.script = lambda count, lat, lon: answer(place()) if count < 3 else answer(b"", 403)
        outcome = run(*words, "--out", out)
        assert outcome.code == 2
        assert "got HTTP 403" in outcome.err
        assert "2 of 3 answers are kept in osm.answers.sqlite" in outcome.err
        assert not out.exists()
        server.script = lambda count, lat, lon: answer(place())
        assert run(*words, "--out", out).code == 0
        assert len(server.heard) == 4
        assert [path[-1] for path in names(read_addresses(out))] == ["France"] * 3
        assert run(*words, "--out", table.with_name("b.csv"), "--cache", out.with_name("osm.answers.sqlite")).code == 0
        assert len(server.heard) == 4


def test_emp16(run: Run, tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text('{"latitude": 1, "longitude": 2, "h": ["R2"], "h_raw": ["W1", "R2"]}\n')
    words = ["addresses", "--emp16", tmp_path / "e.jsonl", "--out", tmp_path / "a.csv"]
    assert run(*words, "--column", "h_raw").code == 0
    assert (tmp_path / "a.csv").read_text().splitlines()[1] == "1.0000000,2.0000000,W1 < R2"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nominatim", "localhost"], "--nominatim: expected --user-agent"),
        (["--nominatim", "localhost", "--naturalearth", "."], "--nominatim: expected it alone"),
        (["--nominatim", "nominatim.openstreetmap.org", "--user-agent", "x", "--rate", "2"], "at least 1 second"),
        (["--rate", "0"], "expected a number from 0.001 to 10000"),
        (["--naturalearth", "/nowhere/at/all"], "expected a folder of Natural Earth's files"),
        (["--out", "/nowhere/at/all.csv"], "expected a folder to write into"),
        (["--emp16", "x"], "not allowed with argument --coordinates"),
    ],
)
def test_what_does_not_go_together_is_said(run: Run, table: Path, words: list[str], said: str) -> None:
    outcome = run("addresses", "--coordinates", table, "--out", table.with_name("a.csv"), *words)
    assert outcome.code == 2
    assert said in outcome.err
    assert not table.with_name("a.csv").exists()


def test_what_is_read_is_not_written_over(run: Run, table: Path) -> None:
    before = table.read_text()
    twin = table.rename(table.with_name("a.locations.csv"))
    for source, out in ((twin, twin), (twin, table.with_name("a.csv")), (twin, table.parent / "." / twin.name)):
        outcome = run("addresses", "--coordinates", source, "--out", out)
        assert outcome.code == 2
        assert "expected another file" in outcome.err
    assert twin.read_text() == before
    outcome = run("addresses", "--coordinates", twin, "--out", table.parent)
    assert (outcome.code, "found a folder" in outcome.err) == (2, True)
    assert [path.name for path in table.parent.iterdir()] == ["a.locations.csv"]
    assert not table.parent.with_name(f"{table.parent.name}.locations.csv").exists()
