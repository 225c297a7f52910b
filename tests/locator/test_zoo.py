"""The zoo: which models are ready, how to get the others, and adding, replacing and removing a model."""

import json
import os
import pickle
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from geoexplain.errors import CheckpointError, DataError
from geoexplain.files.reading import sha256
from geoexplain.locator import registry, zoo
from geoexplain.locator.checkpoints import FORMATS
from geoexplain.locator.checkpoints.native import save_geoexplain
from geoexplain.locator.registry import add_model, assignments_of, open_search, remove_model
from geoexplain.locator.shards import weight_files
from geoexplain.locator.zoo import BUNDLED, ZOO, gallery_of, load_model, model_file, models, ready_models
from tests.locator.models import saved, small_model

DIM = small_model().backbone.feature_dim


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEOEXPLAIN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with one model in geoexplain's format, ready to be added."""
    folder = tmp_path / "from"
    folder.mkdir()
    saved(small_model(), folder)
    return folder


def status(name: str) -> zoo.ModelStatus:
    return next(status for status in models() if status.name == name)


def test_every_row_has_what_a_person_needs() -> None:
    for name, row in ZOO.items():
        assert row.format in FORMATS
        assert all([row.title, row.purpose, row.licence, row.citation])
        assert name == BUNDLED or f"geoexplain models add {name} --from" in row.obtain


def test_the_bundled_files_are_those_that_the_row_names() -> None:
    assert {file.name: sha256(file) for file in weight_files(model_file(BUNDLED))} == ZOO[BUNDLED].sha256


def test_only_the_bundled_model_is_ready_at_first(home: Path) -> None:
    assert [status.name for status in models()] == list(ZOO)
    assert ready_models() == [BUNDLED]
    assert not home.exists()
    for name in set(ZOO) - {BUNDLED}:
        assert status(name).note == ZOO[name].obtain
        with pytest.raises(CheckpointError, match=f"model {name}: expected its files, found none yet. .*models add"):
            load_model(name)


def test_a_model_is_added_loaded_by_name_and_removed(folder: Path, home: Path) -> None:
    added = add_model("mine-1", folder, "geoexplain")
    assert added.name == "mine-1"
    assert ready_models() == [BUNDLED, "mine-1"]
    loaded = load_model("mine-1", "cpu")
    assert loaded.partition.labels == small_model().partition.labels
    for key, value in load_model(folder / "small.safetensors", "cpu").network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[key], value), key
    remove_model("mine-1")
    assert ready_models() == [BUNDLED]
    assert list((home / "models").iterdir()) == []
    with pytest.raises(CheckpointError, match="got 'mine-1'"):
        remove_model("mine-1")


def test_adding_again_replaces(folder: Path, tmp_path: Path) -> None:
    add_model("mine", folder, "geoexplain")
    other = tmp_path / "other"
    other.mkdir()
    saved(small_model(seed=8), other)
    add_model("mine", other, "geoexplain")
    weights = load_model("mine", "cpu").network.state_dict()["head.mixture_weights.weight"]
    expected = load_model(other / "small.safetensors", "cpu").network.state_dict()["head.mixture_weights.weight"]
    assert torch.equal(weights, expected)


@pytest.mark.parametrize(
    ("name", "format_name", "words"),
    [
        (BUNDLED, None, "another name"),
        ("../mine", "geoexplain", "lower-case letters"),
        ("Mine", "geoexplain", "lower-case letters"),
        (".hidden", "geoexplain", "lower-case letters"),
        ("a" * 65, "geoexplain", "lower-case letters"),
        ("mine", None, "expected --format certh or tib or geoexplain, got None"),
        ("mine", "onnx", "got onnx"),
        ("certh-b4-mvmf", "geoexplain", "expected --format certh, got geoexplain"),
        ("certh-b4-mvmf", None, "found no efficientnet_backbone.pt"),
        ("tib-b4-semp", None, "hparams.yaml in the folder, found none"),
    ],
)
def test_a_failed_addition_leaves_no_files(
    name: str, format_name: str | None, words: str, folder: Path, home: Path
) -> None:
    with pytest.raises(CheckpointError, match=words):
        add_model(name, folder, format_name)
    assert not home.exists() or list((home / "models").iterdir()) == []
    assert ready_models() == [BUNDLED]


def test_a_failure_half_way_keeps_the_model_that_was_there(
    folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model("mine", folder, "geoexplain")

    def full_disk(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(registry, "save_geoexplain", full_disk)
    with pytest.raises(CheckpointError, match=r"model mine: expected to write to .*'No space left on device'"):
        add_model("mine", folder, "geoexplain")
    assert ready_models() == [BUNDLED, "mine"]
    assert [path.name for path in (home / "models").iterdir()] == ["mine"]
    load_model("mine", "cpu")


def test_a_home_that_cannot_be_written_is_reported(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GEOEXPLAIN_HOME", str(tmp_path / "file"))
    with pytest.raises(CheckpointError, match=r"expected to write to .*'Not a directory'"):
        add_model("mine", folder, "geoexplain")


def test_a_model_kept_elsewhere_behind_a_link_is_replaced_and_removed(folder: Path, home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    add_model("mine", folder, "geoexplain")
    for change in (lambda: add_model("mine", folder, "geoexplain"), lambda: remove_model("mine")):
        (home / "models" / "mine").rename(elsewhere)
        (home / "models" / "mine").symlink_to(elsewhere)
        change()
        assert not (home / "models" / "mine").is_symlink()
        assert len(list(elsewhere.iterdir())) == 4  # weights, cells, places, where they come from
        shutil.rmtree(elsewhere)
    assert list((home / "models").iterdir()) == []


def test_added_files_have_the_mode_of_the_umask(folder: Path, home: Path) -> None:
    before = os.umask(0o022)
    try:
        add_model("mine", folder, "geoexplain")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(file.stat().st_mode) for file in (home / "models" / "mine").iterdir()} == {0o644}
    assert stat.S_IMODE((home / "models" / "mine").stat().st_mode) == 0o755


SWAP = """
import sys
from pathlib import Path
from geoexplain.locator.registry import _finished_folder

for turn in range(200):
    with _finished_folder(Path(sys.argv[1])) as folder:
        (folder / "one").write_text(sys.argv[2])
        (folder / "two").write_text(sys.argv[2])
"""


def test_two_processes_may_add_the_same_model(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SWAP, str(tmp_path / "models" / "mine")]
    both = [subprocess.Popen([*command, who], stderr=subprocess.PIPE, text=True) for who in "ab"]
    assert [process.communicate()[1] for process in both] == ["", ""]
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["mine"]
    assert len({file.read_text() for file in (tmp_path / "models" / "mine").iterdir()}) == 1


def test_a_name_longer_than_any_file_s_is_no_model(folder: Path, home: Path) -> None:
    with pytest.raises(CheckpointError, match="expected a model name"):
        load_model("a" * 5000)
    add_model("mine", folder, "geoexplain")
    (home / "models" / "mine" / "gallery.json").write_text(json.dumps({"path": "a" * 5000}))
    assert status("mine").gallery is None


def test_companion_data_come_along(folder: Path) -> None:
    cells = len(small_model().partition)
    (folder / "cells_assignments.pkl").write_bytes(pickle.dumps({0: {1, 0}, cells - 1: {2}}))
    (folder / "initial_mu_kappa.pkl").write_bytes(
        pickle.dumps([(np.float64(1), np.float64(cell)) for cell in range(cells)])
    )
    write_gallery(folder / "back_coll_features.hdf5")
    add_model("mine", folder, "geoexplain")
    assignments = assignments_of("mine")
    assert assignments is not None
    assert sorted(assignments.rows_of(0).tolist()) == [0, 1]
    assert assignments.rows_of(1).tolist() == []
    assert gallery_of("mine") == folder / "back_coll_features.hdf5"
    assert status("mine").gallery == folder / "back_coll_features.hdf5"
    search = open_search(load_model("mine", "cpu"), "mine", folder / "back_coll_features.hdf5")
    assert sorted(search.gallery.rows_of(0).tolist()) == [0, 1]  # by assignment, not by distance
    (folder / "back_coll_features.hdf5").unlink()
    with pytest.raises(DataError, match=r"back_coll_features\.hdf5"):
        open_search(load_model("mine", "cpu"), "mine", gallery_of("mine"))


def write_gallery(file: Path, dim: int = DIM, photos: int = 3) -> Path:
    """Return photos near the centre of cell 4."""
    with h5py.File(file, "w") as data:
        data["features"] = np.eye(photos, dim, dtype=np.float16)
        data["labels"] = np.tile([-89.9, 0.0], (photos, 1))
    return file


@pytest.mark.parametrize(("dim", "words"), [(DIM + 1, "expected embeddings of"), (None, "bad.hdf5")])
def test_a_gallery_that_does_not_fit_is_not_added(dim: int | None, words: str, folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.hdf5"
    bad.write_bytes(b"") if dim is None else write_gallery(bad, dim)
    with pytest.raises(DataError, match=words):
        add_model("mine", folder, "geoexplain", bad)
    assert ready_models() == [BUNDLED]


def test_a_gallery_of_more_photos_than_were_assigned_goes_by_the_nearest_cell(folder: Path) -> None:
    (folder / "cells_assignments.pkl").write_bytes(pickle.dumps({0: {3, 1}}))
    gallery = write_gallery(folder / "back_coll_features.hdf5", photos=4)
    add_model("mine", folder, "geoexplain")
    search = open_search(load_model("mine", "cpu"), "mine", gallery)
    assert search.gallery.rows_of(0).tolist() == []
    assert search.gallery.rows_of(4).tolist() == [0, 1, 2, 3]


def test_a_published_file_with_another_digest_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = replace(ZOO[BUNDLED], cells=None, sha256={"small.safetensors": sha256(folder / "small.safetensors")})
    monkeypatch.setitem(ZOO, "published", row)
    add_model("published", folder)
    monkeypatch.setitem(ZOO, "published", replace(row, sha256={"small.safetensors": "0" * 64}))
    with pytest.raises(CheckpointError, match=r"small\.safetensors: expected the published file, got another"):
        add_model("published", folder)


def test_files_of_an_interrupted_addition_are_deleted_after_a_day(folder: Path, home: Path) -> None:
    old, new = home / "models" / ".mine-0badcafe", home / "models" / ".mine-12345678"
    for left in (old, new):
        left.mkdir(parents=True)
        (left / "half.safetensors").write_bytes(b"")
    os.utime(old, (0, 0))
    add_model("mine", folder, "geoexplain")
    assert not old.exists()
    assert new.exists()


def test_without_a_home_folder_nothing_was_added(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("GEOEXPLAIN_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.chdir(tmp_path)
    assert ready_models() == [BUNDLED]
    assert zoo.home() == tmp_path / ".geoexplain"


def test_companion_data_of_another_model_are_refused(folder: Path) -> None:
    (folder / "cells_assignments.pkl").write_bytes(pickle.dumps({10_000: {3}}))
    with pytest.raises(DataError, match="got cell 10,000"):
        add_model("mine", folder, "geoexplain")
    (folder / "cells_assignments.pkl").unlink()
    (folder / "initial_mu_kappa.pkl").write_bytes(pickle.dumps([(np.float64(1), np.float64(2))]))
    with pytest.raises(CheckpointError, match=r"initial_mu_kappa\.pkl: expected the \d+ cells of the model, got 1"):
        add_model("mine", folder, "geoexplain")
    assert ready_models() == [BUNDLED]


def test_a_damaged_home_is_survived(folder: Path, home: Path) -> None:
    add_model("mine", folder, "geoexplain")
    (home / "models" / "mine" / "sources.json").write_text("{[")
    (home / "models" / "mine" / "gallery.json").write_text(json.dumps({"path": 3}))
    (home / "models" / "stray file").write_text("")
    (home / "models" / "empty").mkdir()
    assert ready_models() == [BUNDLED, "mine"]
    assert gallery_of("mine") is None
    assert status("mine").title == "mine"


def test_a_hierarchy_survives_the_format_and_can_be_switched(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="several partitionings, got one"):
        load_model(saved(small_model(), tmp_path), "cpu", hierarchical=True)


def test_weights_are_kept_to_the_last_bit_when_added(folder: Path, tmp_path: Path) -> None:
    model = small_model()
    exact = tmp_path / "exact"
    exact.mkdir()
    description = {"name": "x", "title": "x", "purpose": "x", "architecture": model.backbone.architecture}
    save_geoexplain(model.network, description | {"size_px": 64}, model.partition, exact / "x.safetensors", half=False)
    added = add_model("exact", exact, "geoexplain")
    for key, value in model.network.state_dict().items():
        if key != "head.mvmf.mus":  # from the table of cells, to a centimetre
            assert torch.equal(added.network.state_dict()[key], value.to(added.network.state_dict()[key].dtype)), key
