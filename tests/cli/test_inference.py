"""`geoexplain inference` against the Python interface, OpenCV and pyplot: numbers and pictures of the original."""

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import geoexplain
from geoexplain.explainer.cams import score_cam
from geoexplain.locator.checkpoints.native import describe, save_geoexplain
from geoexplain.locator.heads import RetrievalEmbedding
from geoexplain.locator.model import GeoModel, LocalizableRule
from tests.cli.conftest import Run, Terminal, smooth_colours
from tests.cli.galleries import write_gallery
from tests.explainer.networks import random_model
from tests.test_architecture import ROOT
from tests.view.pyplot import composed, drawn_by_pyplot, pixels

FILES = {
    "combicam": "combi_cam.png",
    "scorecam": "score_cam.png",
    "gradcam": "grad_cam.png",
    "gradcamplusplus": "gradcamplusplus.png",
    "layercam": "layercam.png",
}
LAST = re.compile(r"Prediction \(Lat,Lon\): \((-?\d+\.\d{4}), (-?\d+\.\d{4})\)\nConfidence: (\d+\.\d)%\n\Z")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without models, and a current folder without a background collection."""
    monkeypatch.setenv("GEOEXPLAIN_HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


def answer(out: str) -> tuple[float, float, float]:
    """Latitude, longitude and confidence in % from the last two lines."""
    found = LAST.search(out)
    assert found, out
    return float(found[1]), float(found[2]), float(found[3])


def files() -> set[str]:
    return {file.name for file in Path().iterdir()}


def in_network_size(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear interpolation with the corners aligned, in double precision and along one axis after the other."""
    rows = np.linspace(0, values.shape[0] - 1, height)
    columns = np.linspace(0, values.shape[1] - 1, width)
    tall = np.stack([np.interp(rows, range(len(values)), column) for column in values.T.astype(float)], axis=1)
    return np.stack([np.interp(columns, range(tall.shape[1]), row) for row in tall])


def test_the_bundled_model_answers_as_the_library_does(run: Run) -> None:
    image = ROOT / "assets" / "examples" / "italy.jpg"
    model = geoexplain.load_model(device="cpu")
    prediction = geoexplain.locate(image, model)
    for scale in (25, 200, 1234):
        outcome = run("inference", "-ip", image, "-cpu", "-cs", scale)
        assert outcome.code == 0
        assert "certh-b4-mvmf is not ready" in outcome.err
        assert "without Search within Cell" in outcome.err
        assert outcome.err.count("\n") == 2
        lat, lon, confidence = answer(outcome.out)
        assert (lat, lon) == pytest.approx((prediction.lat_deg, prediction.lon_deg), abs=6e-5)
        density = geoexplain.locate(image, model, rule=LocalizableRule(scale)).density
        assert confidence == pytest.approx(100 * density, abs=0.051)
        if scale in prediction.density_by_km:
            assert confidence == pytest.approx(100 * prediction.density_by_km[scale], abs=0.051)
    assert files() == {"figure_ori.png"}
    with Image.open(image) as picture:
        expected = drawn_by_pyplot(picture.convert("RGB"), Path("expected.png"), ruler=True)
    assert np.abs(pixels(Path("figure_ori.png")) - expected).max() <= 2


def test_all_pictures_are_those_of_the_original(
    run: Run, model: GeoModel, model_file: Path, photos: list[Path]
) -> None:
    # Two spellings of every flag, as in the original.
    flags = ["-combicam", "--gradcam", "-gradcamplusplus", "--layercam", "-scorecam"]
    outcome = run("inference", "--image_path", photos[0], "--model", model_file, "-cpu", *flags, "--out", "new/folder")
    assert outcome.code == 0
    assert {file.name for file in Path("new/folder").iterdir()} == {"figure_ori.png", *FILES.values()}
    explanation = geoexplain.explain(photos[0], model)
    height, width = explanation.size_hw
    blocks = explanation.maps("grad-cam", "block")
    last = explanation.trace.stages[-1]
    maps = {
        "combicam": sum(in_network_size(one.values, height, width) for one in blocks),
        "gradcam": in_network_size(blocks[-1].values, height, width),
        "gradcamplusplus": in_network_size(explanation.maps("grad-cam++", "block")[-1].values, height, width),
        "layercam": in_network_size(explanation.maps("layer-cam", "block")[-1].values, height, width),
        "scorecam": in_network_size(
            score_cam(model, explanation.tensor, explanation.trace, last).values, height, width
        ),
    }
    with Image.open(photos[0]) as picture:
        view = picture.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    for flag, name in FILES.items():
        figure = drawn_by_pyplot(composed(view, maps[flag]), Path("expected.png"), ruler=False)
        difference = np.abs(pixels(Path("new/folder") / name) - figure)
        # Where a value lies between two of the 256 levels, rounding decides: a step of jet, halved.
        assert difference.max() <= 3
        assert (difference > 2).mean() < 1e-3
    assert len({Path("new/folder", name).read_bytes() for name in FILES.values()}) == 5


@pytest.mark.parametrize("spelling", ["-", "--"])
@pytest.mark.parametrize("flag", ["combicam", "gradcam", "gradcamplusplus", "layercam"])
def test_a_flag_writes_its_picture_alone(
    flag: str, spelling: str, run: Run, model_file: Path, photos: list[Path]
) -> None:
    outcome = run("inference", "-ip", photos[1], "--model", model_file, "-cpu", spelling + flag)
    assert outcome.code == 0
    assert files() == {"figure_ori.png", FILES[flag]}
    assert FILES[flag] in outcome.out.splitlines()[0]
    with Image.open(FILES[flag]) as picture:
        assert picture.size == (800, 600)


def test_pictures_change_no_number(run: Run, model: GeoModel, model_file: Path, photos: list[Path]) -> None:
    words = ["inference", "-ip", photos[0], "--model", model_file, "-cpu"]
    prediction = geoexplain.locate(photos[0], model)
    for flags in ([], ["-gradcam"]):
        lat, lon, confidence = answer(run(*words, *flags).out)
        assert (lat, lon) == pytest.approx((prediction.lat_deg, prediction.lon_deg), abs=6e-5)
        assert confidence == pytest.approx(100 * prediction.density_by_km[25], abs=0.06)


def test_a_flat_map_is_said_to_be_flat(run: Run, photos: list[Path], tmp_path: Path) -> None:
    model = random_model(5)
    model.head.mixture_weights.weight.data.zero_()  # nothing in the image matters
    model.head.mixture_weights.bias.data.zero_()
    save_geoexplain(model.network, describe(model), model.partition, tmp_path / "same.safetensors")
    words = ["inference", "-ip", photos[1], "--model", tmp_path / "same.safetensors", "-cpu", "-combicam", "-layercam"]
    outcome = run(*words)
    assert outcome.code == 0
    assert outcome.out.count("flat: nothing in the image stands out") == 2
    with Image.open(photos[1]) as picture:
        view = np.asarray(picture.convert("RGB").resize((64, 64), Image.Resampling.BILINEAR)).astype(float)
    darkest = Image.fromarray(np.rint((view + np.array([0, 0, 128])) / 2).astype(np.uint8))
    expected = drawn_by_pyplot(darkest, Path("expected.png"), ruler=False)
    assert np.abs(pixels(Path("layercam.png")) - expected).max() <= 2
    assert answer(outcome.out)[2] == 20.0  # one of five equal cells, far from the others


def test_score_cam_shows_its_progress(
    run: Run, model_file: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", Terminal())
        assert run("inference", "-ip", photos[1], "--model", model_file, "-cpu", "-scorecam").code == 0
        assert re.search(r"Score-CAM: .*320/320", sys.stderr.getvalue())


@pytest.fixture
def embedding_model(tmp_path: Path) -> GeoModel:
    """The model with a retrieval embedding, also saved as embedding.safetensors."""
    model = random_model(50)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model.embedder = RetrievalEmbedding(model.backbone.feature_dim, 16).eval().requires_grad_(False)
    file = tmp_path / "embedding.safetensors"
    save_geoexplain(model.network, describe(model), model.partition, file, embedder=model.embedder, half=False)
    return geoexplain.load_model(file, "cpu")


def test_the_background_collection_moves_the_answer(
    run: Run, embedding_model: GeoModel, photos: list[Path], tmp_path: Path
) -> None:
    model = embedding_model
    cell = geoexplain.locate(photos[0], model).cell
    lat, lon = model.partition.centers_deg[cell]
    places = [(lat + 0.1, lon), (lat - 0.2, lon), (lat + 0.1, lon + 0.02)]
    write_gallery(tmp_path / "away.hdf5", model, photos[0], [0.8, 0.9, 0.7], places)
    words = ["inference", "-ip", photos[0], "--model", tmp_path / "embedding.safetensors", "-cpu"]
    assert answer(run(*words).out)[:2] == pytest.approx((lat, lon), abs=6e-5)
    given = [*words, "-b", tmp_path / "away.hdf5"]
    # 0.02° of longitude are some 2 km: one cluster for 3 km, none larger than another for 1 km.
    moved = run(*given, "-e", 3)
    assert (moved.code, moved.err) == (0, "")
    assert answer(moved.out)[:2] == pytest.approx((lat + 0.1, lon + 0.01), abs=2e-4)
    assert answer(run(*given).out)[:2] == pytest.approx((lat - 0.2, lon), abs=6e-5)
    assert answer(run(*given, "-e", 3, "-k1").out)[:2] == pytest.approx((lat - 0.2, lon), abs=6e-5)
    # What lies in the current folder under the original's name is taken unasked.
    shutil.copy(tmp_path / "away.hdf5", "back_coll_features.hdf5")
    assert answer(run(*words, "--eps", 3, "-gradcam").out)[:2] == answer(moved.out)[:2]


def test_a_collection_that_lies_here_by_chance_is_left_to_models_that_search(
    run: Run, model_file: Path, photos: list[Path]
) -> None:
    Path("back_coll_features.hdf5").write_bytes(b"of another model")
    outcome = run("inference", "-ip", photos[0], "--model", model_file, "-cpu")
    assert outcome.code == 0
    assert "no background collection for random" in outcome.err
    named = run("inference", "-ip", photos[0], "--model", model_file, "-cpu", "-b", "back_coll_features.hdf5")
    assert (named.code, named.out) == (2, "")
    assert "back_coll_features.hdf5: expected an HDF5 file" in named.err


def test_the_published_model_is_the_default_once_it_is_ready(
    run: Run, model: GeoModel, model_file: Path, photos: list[Path], home: Path
) -> None:
    folder = home / "models" / "certh-b4-mvmf"
    folder.mkdir(parents=True)
    for file in model_file.parent.glob("random.*"):
        shutil.copy(file, folder / file.name.replace("random", "certh-b4-mvmf"))
    outcome = run("inference", "-ip", photos[2], "-cpu")
    assert outcome.code == 0
    assert "not ready" not in outcome.err
    expected = geoexplain.locate(photos[2], model)
    assert answer(outcome.out)[:2] == pytest.approx((expected.lat_deg, expected.lon_deg), abs=6e-5)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "expected an image, got none: add --image_path FILE"),
        (["-iu", "http://127.0.0.1/a.jpg"], "--image_url: expected a local file, got the address "),
        (["-ip", "a.png", "--image_url", "x"], "--image_url: expected a local file, got the address "),
        (["-ip", "a.png", "-combi"], "unrecognized arguments: -combi"),
        (["-ip", "a.png", "--grad"], "unrecognized arguments: --grad"),
        (["-ip", "a.png", "-gradca"], "-g/--gpu: expected the number of a GPU, from 0, got 'radca'"),
        (["-ip", "a.png", "-k", "0"], "expected a whole number of at least 1, got '0'"),
        (["-ip", "a.png", "-e", "-1"], "expected a distance in km from 0.001 to 20100, got '-1'"),
        (["-ip", "a.png", "-cs", "street"], "expected a distance in km from 0 to 20100, got 'street'"),
        (["-ip", "a.png", "-b", "none.hdf5"], "none.hdf5"),
        (["-ip", "a.png", "--out", "a.png"], "a.png: expected a folder that can be written to"),
        (["-ip", "a.png", "b.png"], "unrecognized arguments: b.png"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(
    words: list[str], sentence: str, run: Run, model_file: Path
) -> None:
    smooth_colours(0, 80, 80).save("a.png")
    outcome = run("inference", *words, "-cpu", "--model", model_file, "-gradcam")
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err
    assert files() == {"a.png"}
    # A model without a collection says so before the folder is tried.
    assert len([line for line in outcome.err.splitlines() if "no background" not in line]) == 1


@pytest.mark.parametrize("name", ["http://127.0.0.1/a.jpg", "missing.png", "text.png"])
def test_an_image_that_cannot_be_used_fails(name: str, run: Run, model_file: Path) -> None:
    Path("text.png").write_text("no image")
    outcome = run("inference", "-ip", name, "-cpu", "--model", model_file, "-gradcam")
    assert (outcome.code, outcome.out) == (1, "")
    assert f"geoexplain: {name}: expected" in outcome.err
    assert files() == {"text.png"}
