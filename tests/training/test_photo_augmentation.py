"""What is cut out of photos and changed in them: by hand where chance is fixed, by its distribution where it is not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.images import Preprocess
from geoexplain.training.photo_augmentation import Augmentation, _cut_out, _uniforms, evaluation_view, training_view
from tests.photos.pictures import picture

PLAIN = Augmentation(area=(1.0, 1.0), aspect=(1.0, 1.0), flip=0.0)


def test_a_cut_out_by_hand() -> None:
    # Half of 80 × 60 px as 3 : 2: √(2400 · 3/2) = 60 by 40 px; 20 px are left sideways and 20 px upright.
    augmentation = Augmentation(area=(0.25, 0.75), aspect=(1.0, 2.25))
    chance = np.array([[0.5, 0.5, 0.25, 0.75]])
    assert _cut_out((80, 60), augmentation, chance) == pytest.approx((5, 15, 65, 55))
    # Three quarters as 9 : 4, √(3600 · 9/4) = 90 px wide, do not fit, and the next is tried.
    assert _cut_out((80, 60), augmentation, np.vstack([[1.0, 1.0, 0, 0], chance])) == pytest.approx((5, 15, 65, 55))


def test_a_panorama_that_no_cut_out_fits_gives_its_middle() -> None:
    chance = np.full((10, 4), 0.5)
    left, top, right, bottom = _cut_out((3000, 100), Augmentation(), chance)
    assert (top, bottom) == (0, 100)
    assert right - left == pytest.approx(100 * 4 / 3)
    assert left + right == pytest.approx(3000)
    assert _cut_out((100, 3000), Augmentation(), chance) == pytest.approx((0, 1500 - 200 / 3, 100, 1500 + 200 / 3))


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(0, 2**32))
def test_a_cut_out_lies_in_the_photo_and_is_as_large_as_asked(width: int, height: int, seed: int) -> None:
    augmentation = Augmentation(area=(0.2, 0.8))
    left, top, right, bottom = _cut_out((width, height), augmentation, _uniforms((seed,), 40).reshape(-1, 4))
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert 3 / 4 - 1e-6 <= (right - left) / (bottom - top) <= 4 / 3 + 1e-6
    assert (right - left) * (bottom - top) <= 0.8 * width * height * (1 + 1e-9) or max(width, height) > 1.2 * min(
        width, height
    )


@given(st.integers(40, 2000), st.integers(40, 2000), st.floats(0.05, 1), st.integers(0, 2**32))
def test_no_cut_out_has_fewer_pixels_than_the_view(width: int, height: int, least: float, seed: int) -> None:
    augmentation = Augmentation(area=(least, 1.0))
    size_px = int(min(width, height) * math.sqrt(least * 3 / 4))
    if size_px < 1 or augmentation.shorter_px(size_px) > min(width, height):
        return
    box = _cut_out((width, height), augmentation, _uniforms((seed,), 40).reshape(-1, 4))
    assert min(box[2] - box[0], box[3] - box[1]) >= size_px - 1e-6


def test_chance_is_even_and_that_of_all_time() -> None:
    drawn = np.concatenate([_uniforms((0, 1, 0, position), 4) for position in range(2000)])
    counts, _ = np.histogram(drawn, bins=10, range=(0, 1))
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert (abs(counts - 800) < 5 * math.sqrt(800 * 0.9)).all()
    raw = np.random.Philox(np.random.SeedSequence((7, 1, 2, 3))).random_raw(2).tolist()
    assert _uniforms((7, 1, 2, 3), 2).tolist() == [(number >> 11) / 2**53 for number in raw]


def test_nothing_changed_is_resizing() -> None:
    image = picture(1, (64, 64))
    wanted = image.resize((20, 20), Image.Resampling.BILINEAR)
    assert training_view(image, 20, PLAIN, (1, 2)).tobytes() == wanted.tobytes()


def test_half_of_the_photos_are_flipped() -> None:
    image = picture(1, (24, 24))
    mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes()
    augmentation = Augmentation(area=(1.0, 1.0), aspect=(1.0, 1.0), flip=0.5)
    seen = [training_view(image, 24, augmentation, (0, i)).tobytes() for i in range(400)]
    assert set(seen) == {image.tobytes(), mirrored}
    assert abs(seen.count(mirrored) - 200) < 5 * 10  # of a binomial of 400 and a half, five standard deviations


@pytest.mark.parametrize("what", ["brightness", "contrast", "saturation"])
def test_colours_vary_within_their_amount(what: str) -> None:
    """Brightness moves a colour from black; saturation and, where all is one colour, contrast from its grey."""
    colour = np.array([100, 120, 160])
    image = Image.new("RGB", (8, 8), tuple(colour.tolist()))
    augmentation = Augmentation(area=(1.0, 1.0), aspect=(1.0, 1.0), flip=0.0, **{what: 0.2})
    seen = np.array([training_view(image, 8, augmentation, (0, i)).getpixel((3, 3)) for i in range(300)])
    grey = round(0.299 * 100 + 0.587 * 120 + 0.114 * 160)
    base = {"brightness": 0, "contrast": grey, "saturation": grey}[what]
    factors = (seen[:, 2] - base) / (160 - base)
    assert factors.min() == pytest.approx(0.8, abs=0.04)
    assert factors.max() == pytest.approx(1.2, abs=0.04)
    np.testing.assert_allclose(seen, base + factors[:, None] * (colour - base), atol=1.5)


def test_evaluation_sees_the_middle_of_what_serving_sees() -> None:
    image = picture(2, (90, 60))
    served = np.asarray(Preprocess(30).view(image))  # (30, 45, 3)
    assert np.array_equal(np.asarray(evaluation_view(image, 30)), served[:, 7:37])
    tall = np.asarray(Preprocess(30).view(picture(2, (60, 95))))  # (47, 30, 3)
    assert np.array_equal(np.asarray(evaluation_view(picture(2, (60, 95)), 30)), tall[8:38])


@pytest.mark.parametrize(
    "wrong",
    [
        {"area": (0.0, 1.0)},
        {"area": (0.9, 0.5)},
        {"area": (0.5, 1.5)},
        {"aspect": (2.0, 1.0)},
        {"aspect": (1.0, math.inf)},
        {"flip": 1.5},
        {"contrast": -0.1},
        {"brightness": math.nan},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(DataError, match="augmentation: expected areas"):
        Augmentation(**wrong)
