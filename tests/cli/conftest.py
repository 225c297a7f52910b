"""A small model on disk, images, whole-earth imagery, and the command line as a function."""

import io
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geoexplain.cli import main
from geoexplain.locator.checkpoints.native import describe, save_geoexplain
from geoexplain.locator.model import GeoModel
from geoexplain.locator.zoo import load_model
from tests.explainer.networks import random_model


@dataclass(frozen=True)
class Outcome:
    """What one command left: its exit code and what it said."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line: words → Outcome; leaving through SystemExit, as argparse does, counts as its code."""

    def command(*words: object) -> Outcome:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        return Outcome(code, *capsys.readouterr())

    return command


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = random_model(50)
    file = tmp_path_factory.mktemp("model") / "random.safetensors"
    save_geoexplain(network.network, describe(network), network.partition, file)
    return file


@pytest.fixture(scope="session")
def model(model_file: Path) -> GeoModel:
    return load_model(model_file, "cpu")


def smooth_colours(seed: int, width: int, height: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Two images of one name, in two folders, and one of another name and shape."""
    files = [tmp_path / "a" / "photo.png", tmp_path / "b" / "Photo.png", tmp_path / "tall.png"]
    for seed, (file, size) in enumerate(zip(files, [(120, 90), (96, 96), (50, 200)], strict=True)):
        file.parent.mkdir(exist_ok=True)
        smooth_colours(seed, *size).save(file)
    return files


@pytest.fixture(scope="session")
def imagery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole-earth images with a flat sea over their south-west, and held-out files that cannot even be opened."""
    folder = tmp_path_factory.mktemp("imagery")
    for seed, month in enumerate(("01", "02", "06")):
        image = smooth_colours(seed, 256, 128)
        image.paste((2, 5, 20), (0, 20, 128, 108))
        image.save(folder / f"world.2004{month}.png")
    for month in ("03", "09"):
        (folder / f"world.2004{month}.png").write_text("nobody may read this")
    return folder


class Terminal(io.StringIO):
    """A screen; pressing Ctrl-C as soon as it shows `cue`."""

    def __init__(self, cue: str | None = None):
        super().__init__()
        self.cue = cue

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.cue and self.cue in text:
            self.cue = None
            signal.raise_signal(signal.SIGINT)
        return super().write(text)
