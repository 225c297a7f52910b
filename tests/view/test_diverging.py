"""Two colours: what they are, by the formulas of colour vision, and what they are laid over, by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageChops

from geoexplain.errors import DataError
from geoexplain.view.diverging import (
    DARKEST_GREY,
    HERE_RGB,
    LIGHTEST_GREY,
    THERE_RGB,
    odds_in_words,
    scaled,
    two_coloured,
    with_legend,
)

# Machado, Oliveira, Fernandes 2009, table 1, severity 1: what eyes without one kind of cone make of linear RGB.
EYES = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(rgb: tuple[int, int, int]) -> np.ndarray:
    share = np.array(rgb) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear sRGB, D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(to_xyz @ light / [0.95047, 1, 1.08883])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", EYES)
def test_every_eye_tells_the_colours_from_each_other_and_from_grey(eyes: str) -> None:
    greys = [linear((level,) * 3) for level in (DARKEST_GREY, 128, LIGHTEST_GREY)]
    here, there, *ground = (
        lab(np.clip(np.array(EYES[eyes]) @ light, 0, 1)) for light in (linear(HERE_RGB), linear(THERE_RGB), *greys)
    )
    # 2.3 is a just noticeable difference (Mahy et al. 1994).
    assert np.linalg.norm(here - there) > 40 * 2.3
    for grey in ground:
        assert min(np.linalg.norm(here - grey), np.linalg.norm(there - grey)) > 15 * 2.3


def test_neither_colour_is_lighter() -> None:
    assert lab(linear(HERE_RGB))[0] == pytest.approx(lab(linear(THERE_RGB))[0], abs=2)


def test_one_maximum_for_both_signs() -> None:
    np.testing.assert_array_equal(scaled(np.array([[4, -1], [0, 2]])), [[1, -0.25], [0, 0.5]])
    np.testing.assert_array_equal(scaled(np.array([[-8e-30, 2e-30]], np.float32)), [[-1, 0.25]])
    np.testing.assert_array_equal(scaled(np.zeros((2, 2))), np.zeros((2, 2)))


def test_colours_over_a_grey_image_by_hand() -> None:
    image = Image.new("RGB", (3, 1), (51, 51, 51))  # a fifth of the way from black to white
    grey = DARKEST_GREY + (LIGHTEST_GREY - DARKEST_GREY) / 5
    found = np.asarray(two_coloured(image, np.array([[2, 0, -1]]), 0.5), dtype=float)[0]
    np.testing.assert_allclose(found[0], 0.5 * grey + 0.5 * np.array(HERE_RGB), atol=1)
    np.testing.assert_allclose(found[1], [grey] * 3, atol=1)
    np.testing.assert_allclose(found[2], 0.75 * grey + 0.25 * np.array(THERE_RGB), atol=1)


def test_the_image_keeps_its_size_and_loses_its_colours() -> None:
    image = Image.effect_noise((12, 7), 80).convert("RGB")
    shown = two_coloured(image, np.zeros((3, 4)))
    assert (shown.size, shown.mode) == ((12, 7), "RGB")
    red, green, blue = shown.split()
    assert ImageChops.difference(red, green).getbbox() is None
    assert ImageChops.difference(red, blue).getbbox() is None
    assert shown.getextrema()[0][0] >= DARKEST_GREY


@pytest.mark.parametrize("values", [[[0.0, np.nan]], [[-np.inf, 0]], [1.0, 2.0], np.zeros((0, 3))])
def test_what_is_no_signed_map_is_refused(values: object) -> None:
    with pytest.raises(DataError, match="expected a signed map"):
        two_coloured(Image.new("RGB", (4, 4)), np.asarray(values))


@pytest.mark.parametrize("opacity", [-0.1, 1.1, math.nan])
def test_another_opacity_is_refused(opacity: float) -> None:
    with pytest.raises(DataError, match="opacity from 0 to 1"):
        two_coloured(Image.new("RGB", (4, 4)), np.eye(4), opacity)


@pytest.mark.parametrize(
    ("log_odds", "sentence"),
    [
        (math.log(2.5), "“Rome” is 2.5 times as probable as “Tunis” (log-odds +0.92)."),
        (-math.log(1234.4), "“Tunis” is 1,234 times as probable as “Rome” (log-odds -7.12)."),
        (math.log(1e6), "“Rome” is more than a million times as probable as “Tunis” (log-odds +13.82)."),
        (-900.0, "“Tunis” is more than a million times as probable as “Rome” (log-odds -900.00)."),
        (0.001, "“Rome” and “Tunis” are equally probable (log-odds +0.00)."),
    ],
)
def test_odds_in_words(log_odds: float, sentence: str) -> None:
    assert odds_in_words("Rome", "Tunis", log_odds) == sentence


@pytest.mark.parametrize("size", [(40, 30), (640, 400), (3000, 200)])
def test_the_legend_stands_below_the_picture_and_inside_the_sheet(size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, "teal")
    words = "on the coast of a country with a long name, " * 3
    sheet = with_legend(picture, words, "there", "Said in one sentence.")
    left = (sheet.width - size[0]) // 2
    assert sheet.crop((left, 0, left + size[0], size[1])).tobytes() == picture.tobytes()
    legend = np.asarray(sheet)[size[1] :].astype(int)
    assert (legend[:, -2:] == 255).all(), "text reaches the edge"
    assert (legend[-2:] == 255).all()
    tops = [np.argwhere((legend == colour).all(axis=2))[:, 0].min() for colour in (HERE_RGB, THERE_RGB)]
    ink = np.argwhere((legend < 90).all(axis=2))[:, 0].max()
    assert all(one < other for one, other in pairwise([*tops, ink]))
