"""The models in memory: never too many, each loaded once however many ask, and no failure that outlives its request."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from geoexplain.errors import CheckpointError, DataError
from geoexplain.locator import registry, zoo
from geoexplain.locator.model import GeoModel
from geoexplain.studio.models import Models, Recent
from tests.locator.models import saved, small_model
from tests.studio.conftest import write_gallery_of


class Counted:
    """Makes a value from a key, slowly, and counts how often, and how many of its values exist at once."""

    def __init__(self, recent: Callable[[], "Recent[str, str]"]) -> None:
        self.made: list[str] = []
        self.most = 0
        self._recent = recent

    def __call__(self, key: str) -> str:
        self.most = max(self.most, len(self._recent().held) + 1)
        time.sleep(0.01)
        self.made.append(key)
        if key.startswith("broken"):
            raise CheckpointError("this one is broken.")
        return key.upper()


def counted(keep: int) -> tuple["Recent[str, str]", Counted]:
    make = Counted(lambda: recent)
    recent: Recent[str, str] = Recent(make, keep)
    return recent, make


def test_the_ones_asked_for_last_are_kept() -> None:
    recent, make = counted(2)
    assert [recent[key] for key in "abab"] == ["A", "B", "A", "B"]
    assert make.made == ["a", "b"]
    _ = recent["a"]  # so that b is the older one
    assert recent["c"] == "C"
    assert recent.held == ("a", "c")
    _ = recent["a"], recent["b"]
    assert make.made == ["a", "b", "c", "b"]
    assert recent.held == ("a", "b")


def test_many_who_ask_at_once_wait_for_one_load() -> None:
    recent, make = counted(2)
    start = threading.Barrier(8)

    def ask(key: str) -> str:
        start.wait(10)
        return recent[key]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, "aaaabbbb")) == [*"AAAABBBB"]
    assert sorted(make.made) == ["a", "b"]


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_never_are_more_in_memory_than_allowed(keep: int) -> None:
    recent, make = counted(keep)
    with ThreadPoolExecutor(6) as pool:
        asked = [key for i in range(12) for key in ("abcd"[i % 4], "abcd"[(3 * i + 1) % 4])]
        assert list(pool.map(recent.__getitem__, asked)) == [key.upper() for key in asked]
    assert make.most <= keep
    assert len(recent.held) == keep


def test_a_failure_is_told_and_forgotten() -> None:
    recent, make = counted(2)
    _ = recent["a"]
    for _ in range(2):
        with pytest.raises(CheckpointError, match="broken"):
            recent["broken"]
    assert recent["a"] == "A"
    assert make.made == ["a", "broken", "broken"]


def test_at_least_one_is_kept() -> None:
    with pytest.raises(DataError, match="at least 1"):
        Recent(str, 0)


# ---- with models from files


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the models "first" and "second", and how often each was loaded is asked of `Loads`."""
    monkeypatch.setenv("GEOEXPLAIN_HOME", str(tmp_path / "home"))
    for name in ("first", "second"):
        add(name, tmp_path / f"from-{name}")
    return tmp_path


def add(name: str, folder: Path, gallery: Path | None = None) -> None:
    folder.mkdir(exist_ok=True)
    saved(small_model(), folder)
    registry.add_model(name, folder, "geoexplain", gallery)


class Loads:
    """`load_model`, counting."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str, device: Any) -> GeoModel:
        self.names.append(name)
        return zoo.load_model(name, device)


def test_the_menu_begins_with_the_model_of_the_start(home: Path) -> None:
    models = Models("second", device="cpu")
    rows = models.offered()
    assert [row.name for row in rows] == ["second", *(row.name for row in zoo.models() if row.name != "second")]
    assert {row.name for row in rows if row.ready} == {"second", "first", zoo.BUNDLED}
    assert all(row.note for row in rows if not row.ready)


def test_models_are_loaded_when_somebody_asks_and_let_go_again(home: Path) -> None:
    loads = Loads()
    models = Models("first", keep=1, device="cpu", load=loads)
    assert models["first"].model is models["first"].model
    assert models["second"].model.name == "second"
    assert models.held == ("second",)
    assert models["first"].model.name == "first"
    assert loads.names == ["first", "second", "first"]


def test_requests_at_the_same_time_load_a_model_once(home: Path) -> None:
    loads = Loads()
    models = Models("first", device="cpu", load=loads)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(models.__getitem__, ["second", "first"] * 8))
    assert len({id(loaded) for loaded in found}) == 2
    assert loads.names == ["first", "second"]


def test_the_path_of_a_file_is_a_model_of_its_own(home: Path, tmp_path: Path) -> None:
    loads = Loads()
    file = saved(small_model(), tmp_path)
    models = Models(str(file), keep=1, device="cpu", load=loads)
    assert models.start == "file:small"
    assert models.offered()[0].title == "Small <model>"
    assert models["file:small"].model.name == "small"
    assert loads.names == [str(file)]
    _ = models["first"], models["file:small"]
    assert loads.names == [str(file), "first", str(file)]
    assert all(str(tmp_path) not in f"{row.name}{row.title}{row.purpose}{row.note}" for row in models.offered())


def test_a_model_that_was_given_stays(home: Path) -> None:
    given = small_model()
    models = Models(given, keep=1, device="cpu")
    _ = models["first"], models["second"]
    assert models["small"].model is given
    assert models.held == ("second",)


@pytest.mark.parametrize("start", ["certh-b4-mvmf", "no-such-model", "missing/model.safetensors"])
def test_a_start_that_cannot_be_is_said_at_the_start(home: Path, start: str) -> None:
    with pytest.raises(CheckpointError, match="expected"):
        Models(start, device="cpu")


NAMES = [
    "",
    "certh-b4-mvmf",
    "third",
    "../first",
    "first\0",
    "FIRST",
    None,
    3,
    1.5,
    True,
    [],
    ["first"],
    {"name": 1},
    {},
]


@pytest.mark.parametrize("name", [*NAMES, "first" * 100_000], ids=lambda name: repr(name)[:20])
def test_only_what_is_ready_is_loaded(home: Path, name: Any) -> None:
    loads = Loads()
    models = Models("first", device="cpu", load=loads)
    with pytest.raises(DataError) as refusal:
        models[name]
    assert str(refusal.value) == "expected a model that is ready, got another name: reload the page to see which are."
    assert loads.names == ["first"]


def test_a_model_added_or_removed_while_the_server_runs(home: Path) -> None:
    models = Models("first", device="cpu")
    add("third", home / "from-third")
    assert models["third"].model.name == "third"
    registry.remove_model("third")
    with pytest.raises(DataError, match="reload the page"):
        models["third"]


def test_a_model_added_anew_is_loaded_anew(home: Path) -> None:
    models = Models("first", device="cpu")
    before = models["second"].model
    time.sleep(0.02)
    add("second", home / "from-second")
    assert models["second"].model is not before


def test_a_broken_file_is_one_sentence_and_the_others_stay(home: Path) -> None:
    models = Models("first", device="cpu")
    before = models["first"]
    file = zoo.model_file("second")
    file.write_bytes(file.read_bytes()[:1000])
    for _ in range(2):
        with pytest.raises(CheckpointError) as refusal:
            models["second"]
        assert "\n" not in str(refusal.value)
        assert str(home) not in str(refusal.value)
    assert models["first"] is before


@pytest.mark.parametrize("error", [OSError("/secret/place"), MemoryError(), RuntimeError("CUDA out of memory")])
def test_what_goes_wrong_with_the_machine_is_one_sentence_too(home: Path, error: Exception) -> None:
    def load(name: str, device: Any) -> GeoModel:
        if name == "second":
            raise error
        return zoo.load_model(name, device)

    models = Models("first", device="cpu", load=load)
    with pytest.raises(DataError) as refusal:
        models["second"]
    assert type(error).__name__ in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_a_gallery_comes_with_its_model_and_a_bad_one_leaves_it_usable(
    home: Path, model: GeoModel, tmp_path: Path
) -> None:
    fitting, damaged = tmp_path / "fitting.h5", tmp_path / "damaged.h5"
    write_gallery_of(small_model(), fitting)
    write_gallery_of(small_model(), damaged)
    add("with", home / "from-with", fitting)
    add("bad", home / "from-bad", damaged)
    damaged.write_bytes(b"no HDF5 at all")
    models = Models("first", device="cpu")
    assert models["first"].search is None
    assert models["first"].trouble == ""
    assert len(models["with"].search.gallery) == 4 * len(small_model().partition)
    assert models["bad"].search is None
    assert "damaged.h5" in models["bad"].trouble
    assert models["bad"].model.name == "bad"
