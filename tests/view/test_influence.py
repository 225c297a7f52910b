"""Pictures of concept influence: where bars end, and which pixels are touched."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geoexplain.explainer.concepts import ConceptInfluence
from geoexplain.images import Preprocess
from geoexplain.view.influence import (
    CHANCE,
    LESS,
    MORE,
    TOP_COLOUR,
    bar_length,
    counted,
    enlarged,
    mask_picture,
    save_chart,
    top_picture,
)


def concept(name: str, ci: float, ignored: str = "") -> ConceptInfluence:
    return ConceptInfluence(name, 0.1, ci / 10, ci, ignored)


@pytest.mark.parametrize(
    ("ci", "length"), [(1, 0), (2, 1 / 3), (0.5, -1 / 3), (8, 1), (100, 1), (1 / 8, -1), (0.001, -1), (0, -1)]
)
def test_bars_count_octaves_from_one(ci: float, length: float) -> None:
    assert bar_length(ci) == pytest.approx(length)


def test_the_most_influential_comes_first_and_the_ignored_are_not_drawn() -> None:
    rows = [concept("a", 0), concept("b", 3), concept("c", 9, "not in the image"), concept("d", 0.4)]
    assert [one.concept for one in counted(rows)] == ["b", "d", "a"]


def test_bars_lie_on_their_side_of_one(tmp_path: Path) -> None:
    rows = [concept("more", 4), concept("less", 0.25), concept("none", 0)]
    save_chart(tmp_path / "c.png", rows, "title", {one.concept: (0.9, 1.1) for one in rows})
    with Image.open(tmp_path / "c.png") as drawn:
        pixels = np.asarray(drawn.convert("RGB"))
    more, less = (np.argwhere((pixels == colour).all(axis=-1)) for colour in (MORE, LESS))
    # Rows from the top: 4, 1/4, 0. The bar of 0 is cut at 1/8, half as long again as that of 1/4.
    assert more[:, 1].min() > less[:, 1].max()
    assert more[:, 0].max() < less[:, 0].min()
    widths = [np.ptp(rows[:, 1]) for rows in (more, less[less[:, 0] < less[:, 0].mean()], less)]
    assert widths[0] == pytest.approx(widths[1], abs=4)
    assert widths[2] == pytest.approx(1.5 * widths[1], abs=4)


def test_a_bar_that_chance_explains_is_grey(tmp_path: Path) -> None:
    rows = [concept("more", 4), concept("less", 0.25), concept("unknown", 4)]
    save_chart(tmp_path / "c.png", rows, "title", {"more": (0.1, 4.5), "less": (0.2, 2)})
    with Image.open(tmp_path / "c.png") as drawn:
        pixels = np.asarray(drawn.convert("RGB"))
    coloured = [(pixels == colour).all(axis=-1).sum() for colour in (MORE, LESS, CHANCE)]
    assert coloured[:2] == [0, 0]
    assert coloured[2] > 1000


@pytest.mark.parametrize("names", [[], ["$\\frac{", "a" * 80, "\\", "_^", "海岸"]])
def test_no_name_breaks_the_chart(names: list[str], tmp_path: Path) -> None:
    save_chart(tmp_path / "c.png", [concept(name, 2) for name in names], "$\\frac{", {})
    with Image.open(tmp_path / "c.png") as drawn:
        assert drawn.width == 840


def test_pictures_touch_the_pixels_of_the_mask() -> None:
    generator = np.random.default_rng(0)
    image = Image.fromarray(generator.integers(0, 240, (8, 8, 3), dtype=np.uint8))
    picture = enlarged(image, Preprocess(size_px=8))
    assert picture.size == (24, 24)
    mask = np.zeros((8, 8), dtype=np.bool_)
    mask[2, 3] = mask[7, 7] = True
    large = mask.repeat(3, axis=0).repeat(3, axis=1)
    shown = np.asarray(mask_picture(picture, mask))
    np.testing.assert_array_equal(shown[large], np.asarray(picture)[large])
    np.testing.assert_array_equal(shown[0, 0], np.asarray(picture)[0, 0] // 4)
    # A border of one pixel outside: around 3 × 3 are 16, around the corner of the image 7.
    assert ((shown == 255).all(axis=-1)).sum() == 16 + 7
    top = np.asarray(top_picture(picture, mask))
    np.testing.assert_array_equal((top == TOP_COLOUR).all(axis=-1), large)
    assert (np.ptp(top[~large].astype(int), axis=-1) == 0).all()
