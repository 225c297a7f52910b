"""Colours over the image, against values worked out by hand and matplotlib itself."""

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.view.overlay import COLORMAPS, DEFAULT_COLORMAP, colorize, colormap_lut, normalise, overlay


def test_normalise_takes_lowest_to_zero_and_highest_to_one() -> None:
    np.testing.assert_allclose(normalise(np.float32([[2, 4], [3, 6]])), [[0, 0.5], [0.25, 1]])


def test_normalise_shows_structure_however_faint() -> None:
    np.testing.assert_allclose(normalise(np.float32([[0, 1e-30], [2e-30, 4e-30]])), [[0, 0.25], [0.5, 1]], rtol=1e-6)


@pytest.mark.parametrize("level", [0.0, 1e-12, 5.0])
def test_a_flat_map_stays_empty(level: float) -> None:
    assert not normalise(np.full((3, 4), level, np.float32)).any()


@pytest.mark.parametrize(
    "values", [[[0.0, np.nan]], [[0.0, np.inf]], [[-1.0, 1.0]], [1.0, 2.0], np.zeros((0, 3)), np.zeros((1, 2, 2))]
)
def test_what_is_not_a_raw_map_is_refused(values: object) -> None:
    for show in (normalise, colorize, lambda v: overlay(Image.new("RGB", (4, 4)), v)):
        with pytest.raises(DataError, match="expected a heatmap"):
            show(np.asarray(values, dtype=np.float32))


@pytest.mark.parametrize("name", COLORMAPS)
def test_the_table_holds_the_colors_of_matplotlib(name: str) -> None:
    lut = colormap_lut(name)
    assert lut.shape == (256, 3)
    assert lut.dtype == np.uint8
    for level in (0, 1, 100, 255):
        np.testing.assert_allclose(lut[level] / 255, mpl.colormaps[name](level / 255)[:3], atol=1 / 255)


def test_uniform_colormaps_grow_lighter_all_the_way_and_the_others_say_so() -> None:
    for name, title in COLORMAPS.items():
        lightness = colormap_lut(name) @ np.array([0.2126, 0.7152, 0.0722])
        rises = bool((np.diff(lightness) > -1).all())
        assert rises == ("not perceptually uniform" not in title), name
    assert "not" not in COLORMAPS[DEFAULT_COLORMAP]


def test_colorize_rounds_halves_up_like_the_browser() -> None:
    # 0.5 / 255 and 2.5 / 255 of the way: rounding to even would give levels 0 and 2.
    colors = colorize(np.float32([[0, 0.5, 2.5, 255]]), "viridis")
    np.testing.assert_array_equal(colors[0], colormap_lut("viridis")[[0, 1, 3, 255]])


def test_overlay_blends_colors_with_the_image() -> None:
    image = Image.new("RGB", (2, 1), (100, 0, 200))
    heatmap = np.float32([[0, 1]])
    lut = colormap_lut("inferno").astype(float)
    for opacity in (0.0, 0.25, 1.0):
        expected = (1 - opacity) * np.array([100, 0, 200]) + opacity * lut[[0, 255]]
        blended = np.asarray(overlay(image, heatmap, opacity, "inferno"), dtype=float)
        np.testing.assert_allclose(blended[0], expected, atol=1)


def test_overlay_keeps_the_size_of_the_image() -> None:
    image = Image.new("L", (5, 3), 128)
    shown = overlay(image, np.float32([[0, 1], [0, 1]]), 1.0, "viridis")
    assert (shown.size, shown.mode) == ((5, 3), "RGB")
    np.testing.assert_array_equal(np.asarray(shown)[:, 2], [colormap_lut("viridis")[128]] * 3)


def test_settings_out_of_range_are_refused() -> None:
    image, heatmap = Image.new("RGB", (2, 2)), np.eye(2, dtype=np.float32)
    for opacity in (-0.1, 1.1, float("nan")):
        with pytest.raises(DataError, match="opacity from 0 to 1"):
            overlay(image, heatmap, opacity)
    with pytest.raises(DataError, match="'inferno'"):
        overlay(image, heatmap, 0.5, "rainbow")
