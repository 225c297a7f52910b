"""Baselines: values worked out by hand."""

import math

import numpy as np
import pytest
import torch

from geoexplain.errors import DataError
from geoexplain.explainer.table import BASELINE, kinds_of_family
from tests.explainer.drawn import baseline
from tests.explainer.networks import image_tensor


def test_a_step_has_its_edge_and_nothing_else() -> None:
    image = torch.zeros(1, 3, 6, 8)
    image[..., 4:] = 3.0
    edges = baseline("edges", image, 2)
    # Sobel across a step of height 3: (1 + 2 + 1) · 3 in the two columns next to it.
    expected = np.zeros((6, 8))
    expected[:, 3:5] = 12
    np.testing.assert_allclose(edges.values, expected, atol=1e-6)
    assert (edges.method, edges.target, edges.flat) == ("edges", 2, False)


def test_an_image_of_one_colour_has_no_edges() -> None:
    edges = baseline("edges", torch.full((1, 3, 5, 5), 0.7), 0)
    assert edges.flat
    assert not edges.values.any()


def test_the_gaussian_by_hand() -> None:
    values = baseline("gaussian", torch.zeros(1, 3, 5, 9), 0).values
    assert values[2, 4] == 1
    assert values[2, 8] == pytest.approx(math.exp(-((4 / 9 / 0.25) ** 2) / 2))
    assert values[0, 8] == pytest.approx(math.exp(-((4 / 9 / 0.25) ** 2 + (2 / 5 / 0.25) ** 2) / 2))
    np.testing.assert_allclose(values, values[::-1, ::-1], rtol=1e-6)


def test_the_seed_determines_the_random_map_alone() -> None:
    one, two = image_tensor(1, (16, 20)), image_tensor(2, (16, 20))
    maps = {
        name: [baseline(name, image, 0, seed).values for image in (one, two) for seed in (0, 1)]
        for name in kinds_of_family(BASELINE)
    }
    np.testing.assert_array_equal(maps["random"][0], maps["random"][2])
    assert abs(np.corrcoef(maps["random"][0].ravel(), maps["random"][1].ravel())[0, 1]) < 0.2
    for name in ("gaussian", "edges"):
        np.testing.assert_array_equal(maps[name][0], maps[name][1])
    assert not np.allclose(maps["edges"][0], maps["edges"][2])


def test_another_name_is_refused() -> None:
    with pytest.raises(DataError, match="'random', 'gaussian', 'edges'"):
        baseline("noise", torch.zeros(1, 3, 4, 4), 0)
