"""Imputation of removed pixels: values by hand, comparison with a dense system, and properties."""

import numpy as np
import pytest

from geoexplain.explainer.imputation import NOISE, elimination_order, linear_imputation, noisy_linear_imputation


def dense(image: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """The same equations for every pixel, one at a time, in one dense matrix."""
    height, width = removed.shape
    matrix, right = np.eye(height * width), np.zeros((height * width, len(image)))
    for y in range(height):
        for x in range(width):
            row = y * width + x
            if not removed[y, x]:
                right[row] = image[:, y, x]
                continue
            around = {
                (v, u): 1 / 6 if v == y or u == x else 1 / 12
                for v in range(max(0, y - 1), min(height, y + 2))
                for u in range(max(0, x - 1), min(width, x + 2))
                if (v, u) != (y, x)
            }
            for (v, u), weight in around.items():
                matrix[row, v * width + u] -= weight / sum(around.values())
    return np.linalg.solve(matrix, right).T.reshape(image.shape)


def test_one_pixel_inside_and_one_in_a_corner_by_hand() -> None:
    image = np.array([[[1.0, 2.0, 3.0], [4.0, 99.0, 6.0], [7.0, 8.0, 9.0]]])
    removed = np.zeros((3, 3), dtype=bool)
    removed[1, 1] = True
    assert linear_imputation(image, removed)[0, 1, 1] == pytest.approx((2 + 4 + 6 + 8) / 6 + (1 + 3 + 7 + 9) / 12)
    image[0, 1, 1] = 12
    removed[:] = False
    removed[0, 0] = True
    # Of the weights only 1/6, 1/6 and 1/12 lie inside.
    assert linear_imputation(image, removed)[0, 0, 0] == pytest.approx((2 / 6 + 4 / 6 + 12 / 12) / (5 / 12))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_it_solves_the_dense_system(share: float) -> None:
    rng = np.random.default_rng(1)
    image = rng.normal(size=(3, 7, 9))
    removed = rng.random((7, 9)) < share
    np.testing.assert_allclose(linear_imputation(image, removed), dense(image, removed), atol=1e-12)


def test_a_removed_region_of_a_ramp_is_restored_exactly() -> None:
    south, east = np.mgrid[:12, :15]
    ramp = np.stack([2.0 * south + east, east - 1.0 * south])
    removed = np.zeros((12, 15), dtype=bool)
    removed[2:10, 3:13] = True
    np.testing.assert_allclose(linear_imputation(np.where(removed, np.nan, ramp), removed), ramp, atol=1e-12)


def test_without_removed_pixels_nothing_changes() -> None:
    image = np.random.default_rng(2).normal(size=(3, 4, 5)).astype(np.float32)
    kept = noisy_linear_imputation(image, np.zeros((4, 5), dtype=bool), np.random.default_rng(0))
    np.testing.assert_array_equal(kept, image)


def test_noise_is_on_the_removed_pixels_alone_with_its_deviation() -> None:
    image = np.ones((3, 60, 60), dtype=np.float32)
    removed = np.zeros((60, 60), dtype=bool)
    removed[:50] = True
    noisy = noisy_linear_imputation(image, removed, np.random.default_rng(0))
    assert (noisy[:, 50:] == 1).all()
    assert noisy[:, removed].std() == pytest.approx(NOISE, rel=0.05)
    assert noisy[:, removed].mean() == pytest.approx(1, abs=5 * NOISE / 95)


def test_a_line_is_eliminated_after_the_two_halves_that_it_separates() -> None:
    order = elimination_order(9, 20).reshape(9, 20)
    assert sorted(order.ravel()) == list(range(180))
    assert order[:, 10].min() > np.delete(order, 10, axis=1).max()
    assert order[:, 5].min() > np.delete(order[:, :10], 5, axis=1).max()
