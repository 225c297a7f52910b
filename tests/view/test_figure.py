"""The pictures of the original, against OpenCV's colours and matplotlib's pyplot, which the original draws with."""

from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.view.figure import half_and_half, jet, save_figure
from tests.view.pyplot import composed, drawn_by_pyplot, pixels


def noise(seed: int, height: int, width: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_jet_is_that_of_opencv_and_not_that_of_matplotlib() -> None:
    levels = np.arange(256, dtype=np.uint8)[:, None]
    opencv = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)[:, 0].astype(int)
    assert np.abs(jet().astype(int) - opencv).max() <= 1
    assert jet()[[0, 255]].tolist() == [[0, 0, 128], [128, 0, 0]]
    # By hand, in quarters of the range: cyan where green has just come up, yellow where blue has gone.
    assert np.abs(jet()[[96, 159]].astype(int) - [[0, 255, 255], [255, 255, 0]]).max() <= 4
    other = mpl.colormaps["jet"](np.arange(256), bytes=True)[:, :3].astype(int)
    assert np.abs(jet().astype(int) - other).max() > 20


def test_half_and_half_is_the_composition_of_the_original() -> None:
    view = noise(0, 30, 40)
    heatmap = np.random.default_rng(1).uniform(2e-9, 7e-9, (30, 40)).astype(np.float32)
    found = pixels(half_and_half(view, heatmap))
    assert np.abs(found - pixels(composed(view, heatmap))).max() <= 2


def test_a_flat_map_is_one_colour() -> None:
    flat = half_and_half(Image.new("RGB", (4, 3), "white"), np.full((3, 4), 0.3, dtype=np.float32))
    # Half of white and half of the darkest blue (0, 0, 128), halves rounded to even.
    assert np.array_equal(pixels(flat), np.full((3, 4, 3), [128, 128, 192]))


def test_a_map_that_holds_no_numbers_is_refused() -> None:
    with pytest.raises(DataError, match="finite values ≥ 0"):
        half_and_half(Image.new("RGB", (2, 1)), np.array([[0.0, np.nan]], dtype=np.float32))


@pytest.mark.parametrize("ruler", [True, False])
@pytest.mark.parametrize("size_hw", [(30, 40), (300, 400), (64, 21)])
def test_a_figure_is_the_one_that_pyplot_draws(size_hw: tuple[int, int], ruler: bool, tmp_path: Path) -> None:
    image = noise(2, *size_hw)
    save_figure(tmp_path / "found", image, ruler=ruler)
    expected = drawn_by_pyplot(image, tmp_path / "expected", ruler=ruler)
    assert expected.shape == (600, 800, 3)
    assert np.abs(pixels(tmp_path / "found") - expected).max() <= 2


def test_a_large_photo_is_drawn_small_with_its_own_numbers_along_the_edges(tmp_path: Path) -> None:
    image = Image.new("RGB", (3200, 1500), "red")
    save_figure(tmp_path / "found", image, ruler=True)
    expected = drawn_by_pyplot(image, tmp_path / "expected", ruler=True)
    assert np.abs(pixels(tmp_path / "found") - expected).max() <= 2
    assert image.size == (3200, 1500)
