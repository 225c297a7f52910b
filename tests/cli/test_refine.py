"""Search within Cell and the rule for localizable, as `locate` and `explain` take them."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

import geoexplain
from geoexplain.files import Assignments, save_assignments
from geoexplain.locator.model import GeoModel
from tests.cli.conftest import Run
from tests.cli.galleries import write_gallery

# The most similar photo stands alone; the next three are within a kilometre of each other; the fifth is far less alike.
SIMILARITY = [0.7, 0.95, 0.9, 0.2, 0.8]
CLUSTER = [0, 2, 4]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("GEOEXPLAIN_HOME", str(folder))
    return folder


def haversine_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    (lat, lon), (to_lat, to_lon) = np.radians(a), np.radians(b)
    half = math.sin((to_lat - lat) / 2) ** 2 + math.cos(lat) * math.cos(to_lat) * math.sin((to_lon - lon) / 2) ** 2
    return 2 * 6371 * math.asin(math.sqrt(half))


def centre_of_answer(model: GeoModel, photo: Path) -> tuple[int, float, float]:
    cell = geoexplain.locate(photo, model).cell
    lat, lon = model.partition.centers_deg[cell]
    return cell, float(lat), float(lon)


@pytest.fixture
def gallery(model: GeoModel, photos: list[Path], tmp_path: Path) -> Path:
    """Five photos in the cell of the first image: three in a line along the parallel, and two elsewhere."""
    _, lat, lon = centre_of_answer(model, photos[0])
    places = [(lat + 0.1, lon - 0.004), (lat - 0.2, lon), (lat + 0.1, lon), (lat + 0.1, lon), (lat + 0.1, lon + 0.004)]
    return write_gallery(tmp_path / "gallery.hdf5", model, photos[0], SIMILARITY, places)


def record_of(run: Run, *words: object) -> dict:
    outcome = run(*words, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    return json.loads(outcome.out)


@pytest.mark.parametrize("command", ["locate", "explain"])
def test_the_largest_cluster_of_the_most_similar_is_the_answer(
    command: str, run: Run, model: GeoModel, model_file: Path, photos: list[Path], gallery: Path
) -> None:
    cell, lat, lon = centre_of_answer(model, photos[0])
    words = [command, photos[0], "--model", model_file, "--gallery", gallery, "--top-k", 4]
    record = record_of(run, *words)
    found = record["search_within_cell"]
    assert (found["cell"], found["searched"], found["top_k"], found["eps_km"]) == (cell, 5, 4, 1.0)
    assert [row["row"] for row in found["neighbours"]] == [1, 2, 4, 0]
    assert [row["similarity"] for row in found["neighbours"]] == pytest.approx([0.95, 0.9, 0.8, 0.7], abs=2e-3)
    assert [row["chosen"] for row in found["neighbours"]] == [False, True, True, True]
    assert found["neighbours"][0]["latitude"] == pytest.approx(lat - 0.2)
    assert found["neighbours"][3]["longitude"] == pytest.approx(lon - 0.004)
    # Of three points evenly spaced along a parallel, the middle one: their mean bulges by far less than a metre.
    assert (record["latitude"], record["longitude"]) == pytest.approx((lat + 0.1, lon), abs=1e-5)
    assert found["moved_km"] == pytest.approx(haversine_km((lat, lon), (lat + 0.1, lon)), abs=1e-3)
    assert found["moved_km"] == pytest.approx(0.1 * math.pi / 180 * 6371, abs=1e-2)


def test_the_settings_of_the_search_count(
    run: Run, model: GeoModel, model_file: Path, photos: list[Path], gallery: Path
) -> None:
    _, lat, lon = centre_of_answer(model, photos[0])
    words = ["locate", photos[0], "--model", model_file, "--gallery", gallery]
    best = record_of(run, *words, "--top-k", 1)
    assert (best["latitude"], best["longitude"]) == pytest.approx((lat - 0.2, lon))
    near = record_of(run, *words, "--top-k", 4, "--eps-km", 40)["search_within_cell"]
    assert [row["chosen"] for row in near["neighbours"]] == [True] * 4
    assert near["eps_km"] == 40
    # With 10 m no two of them are of one cluster, but rows 2 and 3 are at one place.
    narrow = record_of(run, *words, "--eps-km", 0.01)["search_within_cell"]
    assert [row["row"] for row in narrow["neighbours"] if row["chosen"]] == [2, 3]
    assert narrow["top_k"] == 10


def test_the_text_names_the_photos(
    run: Run, model: GeoModel, model_file: Path, photos: list[Path], gallery: Path
) -> None:
    cell, lat, lon = centre_of_answer(model, photos[0])
    words = ["--model", model_file, "--gallery", gallery, "--top-k", 4]
    lines = run("locate", photos[0], *words).out.splitlines()
    assert lines[1].endswith(f"{lat + 0.1:.4f},{lon:.4f} (search within cell)")
    start = next(i for i, line in enumerate(lines) if line.startswith("  search "))
    assert f"5 photos in cell {cell}; 3 of the 4 most alike (*) agree within 1 km; 11.1 km from" in lines[start]
    assert [line.split()[0] == "*" for line in lines[start + 1 : start + 5]] == [False, True, True, True]
    assert lines[start + 1].endswith(f"photo 1 ({lat - 0.2:.4f},{lon:.4f})")
    explained = run("explain", photos[0], *words, "--json", "--method", "grad-cam", "--out", gallery.parent / "out")
    assert explained.code == 0
    spoken = run("explain", photos[0], *words, "--method", "grad-cam", "--out", gallery.parent / "out").out
    assert lines[start] in spoken.splitlines()


def test_a_cell_without_photos_keeps_its_answer(
    run: Run, model: GeoModel, model_file: Path, photos: list[Path], tmp_path: Path
) -> None:
    cell, lat, lon = centre_of_answer(model, photos[0])
    other = model.partition.centers_deg[(cell + 1) % 50]
    gallery = write_gallery(tmp_path / "other.h5", model, photos[0], [0.9], [other])
    words = ["locate", photos[0], "--model", model_file, "--gallery", gallery]
    record = record_of(run, *words)
    assert record["search_within_cell"] == {
        "cell": cell, "searched": 0, "top_k": 10, "eps_km": 1.0, "moved_km": 0.0, "neighbours": [],
    }  # fmt: skip
    assert (record["latitude"], record["longitude"]) == (lat, lon)
    assert f"cell {cell} holds no photo of the gallery" in run(*words).out


@pytest.fixture
def registered(model_file: Path, home: Path, gallery: Path) -> Path:
    """The model under a name of its own, with its gallery."""
    folder = home / "models" / "mine"
    folder.mkdir(parents=True)
    shutil.copy(model_file, folder / "mine.safetensors")
    for table in model_file.parent.glob("random.*.csv"):
        shutil.copy(table, folder / table.name.replace("random", "mine"))
    (folder / "gallery.json").write_text(json.dumps({"path": str(gallery)}))
    return folder


def test_the_registered_gallery_is_the_default(run: Run, registered: Path, model: GeoModel, photos: list[Path]) -> None:
    _, lat, lon = centre_of_answer(model, photos[0])
    words = ["locate", photos[0], "--model", "mine"]
    found = record_of(run, *words)
    assert found["search_within_cell"]["searched"] == 5
    without = record_of(run, *words, "--gallery", "none")
    assert without["search_within_cell"] is None
    assert (without["latitude"], without["longitude"]) == (lat, lon)


def test_assignments_added_with_the_model_say_what_lies_in_a_cell(
    run: Run, registered: Path, model: GeoModel, photos: list[Path]
) -> None:
    cell, _, _ = centre_of_answer(model, photos[0])

    def searched(*rows: int) -> int:
        """Photos searched when `rows` lie in the cell, and what is left of five in the one after it."""
        left = [row for row in range(5) if row not in rows]
        counts = np.zeros(51, dtype=np.int64)
        counts[cell + 1], counts[(cell + 1) % 50 + 1] = len(rows), len(left)
        order = [*left, *rows] if (cell + 1) % 50 < cell else [*rows, *left]
        save_assignments(Assignments(np.cumsum(counts), np.array(order)), registered / "assignments.npz")
        return record_of(run, "locate", photos[0], "--model", "mine")["search_within_cell"]["searched"]

    assert searched(0, 3) == 2
    assert searched(1, 2, 3, 4) == 4
    # Assignments of another number of photos are those of another gallery: the nearest centre decides.
    other = np.zeros(51, dtype=np.int64)
    other[cell + 1 :] = 2
    save_assignments(Assignments(other, np.array([0, 1])), registered / "assignments.npz")
    outcome = run("locate", photos[0], "--model", "mine", "--json")
    assert json.loads(outcome.out)["search_within_cell"]["searched"] == 5
    assert "5 photos, but the cells added with mine are for 2" in outcome.err


@pytest.mark.parametrize("command", ["locate", "explain"])
def test_the_rule_is_a_setting(command: str, run: Run, model: GeoModel, model_file: Path, photos: list[Path]) -> None:
    prediction = geoexplain.locate(photos[0], model)
    _, lat, lon = centre_of_answer(model, photos[0])
    near = [cell for cell, place in enumerate(model.partition.centers_deg) if haversine_km((lat, lon), place) <= 3000]
    assert 1 < len(near) < 50
    reached = sum(prediction.probabilities[cell] for cell in near)
    words = [command, photos[0], "--model", model_file, "--scale-km", 3000]
    below = record_of(run, *words, "--threshold", f"{reached - 1e-3:.6f}")
    above = record_of(run, *words, "--threshold", f"{reached + 1e-3:.6f}")
    assert below["density_at_scale"] == pytest.approx(reached, rel=1e-5)
    assert below["rule"] == {"scale_km": 3000, "threshold": pytest.approx(reached - 1e-3, abs=1e-6)}
    assert (below["localizable"], above["localizable"]) == (True, False)
    one = record_of(run, command, photos[0], "--model", model_file, "--threshold", 1)
    assert one["rule"] == {"scale_km": model.rule.scale_km, "threshold": 1.0}
    assert one["density_at_scale"] == one["density"]["25"]


def test_the_rule_stands_in_the_text(run: Run, model_file: Path, photos: list[Path]) -> None:
    words = [photos[0], "--model", model_file, "--scale-km", 20100, "--threshold", 0.35]
    said = "  localizable  yes: 100 % in cells centred within 20,100 km of the best one, threshold 35 %"
    assert said in run("locate", *words).out.splitlines()
    explained = run("explain", *words, "--out", photos[0].parent, "--method", "grad-cam")
    assert said in explained.out.splitlines()


def test_five_crops_are_those_of_the_library(run: Run, model: GeoModel, model_file: Path, photos: list[Path]) -> None:
    record = record_of(run, "locate", photos[0], "--model", model_file, "--crops", 5)
    expected = geoexplain.locate(photos[0], model, crops=5)
    whole = geoexplain.locate(photos[0], model)
    assert record["probability"] == expected.probabilities.max()
    assert record["probability"] != pytest.approx(whole.probabilities.max(), rel=1e-3)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--top-k", "5"], "--top-k: expected a gallery for Search within Cell, got none: add --gallery PATH"),
        (["--eps-km", "2", "--gallery", "none"], "--eps-km: expected a gallery for Search within Cell, got none"),
        (["--gallery", "missing.hdf5"], "missing.hdf5"),
        (["--gallery", "photo.png"], "gallery photo.png: expected a folder made by `geoexplain gallery build`"),
        (["--gallery", "short.h5"], "gallery short.h5: expected embeddings of 1280 numbers by random, got 3 by"),
        (["--scale-km", "30000"], "expected a distance in km from 0 to 20100, got '30000'"),
        (["--scale-km", "nan"], "expected a distance in km from 0 to 20100, got 'nan'"),
        (["--threshold", "20"], "expected a share from 0 to 1, got '20'"),
        (["--top-k", "0"], "expected a whole number of at least 1, got '0'"),
        (["--eps-km", "0"], "expected a distance in km from 0.001 to 20100, got '0'"),
    ],
)
@pytest.mark.parametrize("command", ["locate", "explain"])
def test_what_does_not_fit_is_refused_before_anything_is_begun(
    command: str,
    words: list[str],
    sentence: str,
    run: Run,
    model_file: Path,
    photos: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import h5py

    monkeypatch.chdir(tmp_path)
    shutil.copy(photos[0], "photo.png")
    with h5py.File("short.h5", "w") as stored:
        stored["features"], stored["labels"] = np.ones((2, 3), np.float32), np.zeros((2, 2))
    outcome = run(command, "photo.png", "--model", model_file, "--json", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("geoexplain: ")
    assert sentence in outcome.err
    assert outcome.err.count("\n") == 1
