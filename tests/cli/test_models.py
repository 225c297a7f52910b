"""`geoexplain models`: listing, adding from the authors' files, converting their pickles, removing."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from geoexplain.cli import main
from geoexplain.geography.addresses import place_trees
from geoexplain.geography.addresses.cell_names import name_cells
from geoexplain.locator.checkpoints.native import load_geoexplain
from geoexplain.locator.zoo import BUNDLED, ZOO
from tests.locator.models import saved, small_model


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEOEXPLAIN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "from").mkdir()
    saved(small_model(), tmp_path / "from")
    return tmp_path / "from"


def test_the_list_says_what_is_ready_and_how_to_get_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    assert [line.split()[0] for line in text.splitlines() if not line.startswith(" ")] == list(ZOO)
    assert text.splitlines()[0].split() == [BUNDLED, "ready"]
    assert text.count("not there yet") == len(ZOO) - 1
    assert max(map(len, text.splitlines())) <= 120


def test_the_list_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["name"]: row["ready"] for row in rows} == {name: name == BUNDLED for name in ZOO}
    assert all(row["note"] and row["citation"] for row in rows)


def test_a_model_that_is_added_answers_and_goes_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "add", "mine", "--format", "geoexplain", "--from", str(folder)]) == 0
    assert "mine: test_efficientnet, 5 cells, in " in capsys.readouterr().out
    assert main(["locate", "assets/examples/italy.jpg", "--model", "mine", "--json", "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "mine"
    assert main(["models", "remove", "mine"]) == 0
    assert main(["locate", "assets/examples/italy.jpg", "--model", "mine"]) == 2
    assert "got 'mine': check the spelling; `geoexplain models` lists all." in capsys.readouterr().err


def test_cells_are_named_anew_and_nothing_else_changes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, table, places = (folder / f"small{end}" for end in (".safetensors", ".cells.csv", ".places.json"))
    before = [line.rsplit(",", 2) for line in table.read_text(encoding="utf-8").splitlines()]
    assert main(["models", "name-cells", str(file)]) == 0
    assert capsys.readouterr().out == "small: 5 cells named, with their places in small.places.json\n"
    after = [line.rsplit(",", 2) for line in table.read_text(encoding="utf-8").splitlines()]
    assert [row[1:] for row in after] == [row[1:] for row in before]
    assert after[0] == before[0]
    named = load_geoexplain(file, "cpu")
    (tree,) = named.own_trees
    assert named.partition.labels == name_cells(small_model().partition).labels
    assert tree.of_cell.tolist() == place_trees(named.partition)[0].of_cell.tolist()
    assert main(["models", "name-cells", str(file)]) == 2
    assert "small.places.json: expected no places next to the model yet, found some" in capsys.readouterr().err
    table.write_text(table.read_text(encoding="utf-8").replace(named.partition.labels[0], "elsewhere"), "utf-8")
    assert main(["models", "name-cells", str(file), "--force"]) == 0
    assert load_geoexplain(file, "cpu").partition.labels == named.partition.labels
    places.unlink()
    assert load_geoexplain(file, "cpu").trees[0].labels == tree.labels


def test_a_model_with_a_hierarchy_answers_with_and_without_it(
    tib_files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "add", "semp", "--format", "tib", "--from", str(tib_files)]) == 0
    assert "semp: tf_efficientnet_b4, 43 in 19 in 7 cells" in capsys.readouterr().out
    shares = []
    for option in ((), ("--no-hierarchy",), ("--hierarchy",)):
        line = ["locate", "assets/examples/italy.jpg", "--model", "semp", "--json", "--device", "cpu", *option]
        assert main(line) == 0
        shares.append(json.loads(capsys.readouterr().out)["probability"])
    assert shares[0] == pytest.approx(shares[1])
    assert shares[2] != pytest.approx(shares[0], rel=1e-3)


def test_the_size_of_the_published_head_is_known(certh_files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "add", "certh-b4-mvmf", "--from", str(certh_files)]) == 2
    complaint = capsys.readouterr().err
    assert "mvmf_head.pt: key 'mixture_weights.seq_model.0.bias' has shape (257,), expected (31145,)" in complaint
    assert "is this the head of another model?" in complaint


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["add", "certh-b4-mvmf", "--from", "nowhere"],
            "expected a folder with efficientnet_backbone.pt, mvmf_head.pt",
        ),
        (["add", "mine", "--from", "nowhere"], "expected --format certh or tib or geoexplain"),
        (["add", "mine", "--format", "certh", "--from", ".", "--gallery", "nowhere.hdf5"], "--gallery nowhere.hdf5"),
        (["remove", "certh-b4-mvmf"], "got 'certh-b4-mvmf'"),
        (["convert", "nowhere.pkl", "out.csv"], "nowhere.pkl"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", *words]) == 2
    err = capsys.readouterr().err
    assert complaint in err
    assert err.count("\n") == 1


def test_a_pickle_becomes_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pickled = tmp_path / "metadata_im2gps.pkl"
    pickled.write_bytes(pickle.dumps({"a.jpg": {"lat": "1.5", "lon": np.float64(-2)}}))
    assert main(["models", "convert", str(pickled), str(tmp_path / "im2gps.csv")]) == 0
    assert "1 positions of images" in capsys.readouterr().out
    assert (tmp_path / "im2gps.csv").read_text().splitlines() == ["id,latitude,longitude", "a.jpg,1.5,-2.0"]
