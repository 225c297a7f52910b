"""Combi-CAM blended in the browser is Combi-CAM as Python computes it."""

import base64
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from playwright.sync_api import Browser, Page

from geoexplain.explainer.cams import StageMap, is_flat
from geoexplain.explainer.combine import COMBINATIONS, DIVISORS, FOLDS, Combination, combine
from geoexplain.studio.markup import asset
from geoexplain.studio.payload import encode, menu
from geoexplain.view.overlay import normalise

pytestmark = pytest.mark.browser

TOLERANCE = 5e-5
"""Of a display range of 0 to 1, in which one step of colour is 1/255. What is left is float32: it places a pixel
between its neighbours with an error of 1e-5, and at an edge a pixel's value follows."""

# The seven stages of an EfficientNet for an input of 224 px, square and of another shape.
SQUARE = [(112, 112), (56, 56), (28, 28), (14, 14), (14, 14), (7, 7), (7, 7)]
WIDE = [(112, 149), (56, 75), (28, 38), (14, 19), (14, 19), (7, 10), (7, 10)]
TALL = [(75, 56), (38, 28), (19, 14), (10, 7)]
CASES = {
    "square": (SQUARE, (224, 224)),
    "wide": (WIDE, (224, 299)),
    "tall": (TALL, (300, 224)),
    "one pixel": ([(1, 1), (1, 3), (3, 1)], (40, 24)),
}

# What assets/studio/explanation.js does with a payload, without its panels.
BLEND = """([maps, weights, way, H, W]) => {
    const layers = maps.map(({values, h, w}) => {
        const raw = geoexplainBlend.decode(values);
        return geoexplainBlend.upsample(geoexplainBlend.scale(raw, way), h, w, H, W);
    });
    const total = geoexplainBlend.fold(layers, weights, way);
    const shown = geoexplainBlend.normalise(total);
    const text = (array) => btoa(Array.from(new Uint8Array(array.buffer), (b) => String.fromCharCode(b)).join(""));
    return {flat: geoexplainBlend.isFlat(total), total: text(total), shown: text(shown)};
}"""
UPSAMPLE = """([{values, h, w}, H, W]) => {
    const array = geoexplainBlend.upsample(geoexplainBlend.decode(values), h, w, H, W);
    return btoa(Array.from(new Uint8Array(array.buffer), (b) => String.fromCharCode(b)).join(""));
}"""


@pytest.fixture(scope="module")
def blend(chromium: Browser) -> Iterator[Page]:
    page = chromium.new_page()
    page.add_script_tag(content=asset("blend.js"))
    yield page
    page.close()


def stage_map(values: np.ndarray, index: int = 1) -> StageMap:
    values = values.astype(np.float32)
    return StageMap(values, index, "stage", "grad-cam", 0, "probability", is_flat(values))


def random_maps(shapes: Sequence[tuple[int, int]], rng: np.random.Generator) -> list[StageMap]:
    """Rectified noise whose magnitude falls by orders from stage to stage, as raw maps of gradients do."""
    maps = []
    for index, shape in enumerate(shapes, 1):
        values = np.maximum(rng.normal(0.2, 1.0, shape), 0) * 10.0 ** rng.uniform(-9, 2)
        maps.append(stage_map(values, index))
    return maps


def sent(stage_map: StageMap) -> dict[str, object]:
    h, w = stage_map.values.shape
    return {"values": encode(stage_map), "h": h, "w": w}


def floats(text: str, size_hw: tuple[int, int]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4").reshape(size_hw)


def blended(
    page: Page, maps: Sequence[StageMap], weights: Sequence[float], how: str, size_hw: tuple[int, int]
) -> tuple[bool, np.ndarray, np.ndarray]:
    way = next(row for row in menu()["combinations"] if row["name"] == how)
    answer = page.evaluate(BLEND, [[sent(m) for m in maps], list(weights), way, *size_hw])
    return answer["flat"], floats(answer["total"], size_hw), floats(answer["shown"], size_hw)


@pytest.mark.parametrize("how", COMBINATIONS)
@pytest.mark.parametrize("case", CASES)
def test_any_maps_and_weights_blend_as_in_python(blend: Page, how: str, case: str) -> None:
    shapes, size_hw = CASES[case]
    rng = np.random.default_rng([sorted(CASES).index(case), sorted(COMBINATIONS).index(how)])
    for _ in range(3):
        maps = random_maps(shapes, rng)
        weights = np.round(rng.uniform(0, 2, len(maps)) * rng.integers(0, 2, len(maps)), 2)
        weights[rng.integers(len(maps))] = 1.35
        expected = combine(maps, weights.tolist(), how, size_hw)
        flat, _, shown = blended(blend, maps, weights.tolist(), how, size_hw)
        assert flat == expected.flat
        np.testing.assert_allclose(shown, normalise(expected.values), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("how", COMBINATIONS)
def test_flat_maps_among_others(blend: Page, how: str) -> None:
    rng = np.random.default_rng(5)
    maps = random_maps(SQUARE, rng)
    maps[1] = stage_map(np.zeros((56, 56)), 2)
    maps[3] = stage_map(np.full((14, 14), 0.7), 4)
    maps[5] = stage_map(0.3 + 1e-9 * rng.random((7, 7)), 6)
    expected = combine(maps, [1.0] * 7, how, (224, 224))
    flat, _, shown = blended(blend, maps, [1.0] * 7, how, (224, 224))
    assert flat == expected.flat is False
    np.testing.assert_allclose(shown, normalise(expected.values), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("how", COMBINATIONS)
@pytest.mark.parametrize("values", [0.0, 0.4], ids=["zeros", "a constant"])
def test_nothing_but_flat_maps_is_flat(blend: Page, how: str, values: float) -> None:
    maps = [stage_map(np.full(shape, values), i) for i, shape in enumerate(SQUARE, 1)]
    expected = combine(maps, [1.0] * 7, how, (224, 224))
    flat, _, shown = blended(blend, maps, [1.0] * 7, how, (224, 224))
    assert flat is expected.flat is True
    assert not shown.any()


@pytest.mark.parametrize("how", COMBINATIONS)
def test_all_weights_zero_is_flat(blend: Page, how: str) -> None:
    maps = random_maps(SQUARE, np.random.default_rng(6))
    flat, _, shown = blended(blend, maps, [0.0] * 7, how, (224, 224))
    assert flat is combine(maps, [0.0] * 7, how, (224, 224)).flat is True
    assert not shown.any()


@pytest.mark.parametrize("fold", FOLDS)
@pytest.mark.parametrize("gamma", [None, 0.5, 3.0])
@pytest.mark.parametrize("divide", DIVISORS)
def test_every_row_that_the_table_could_hold_blends_as_in_python(
    blend: Page, divide: str, gamma: float | None, fold: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMBINATIONS, "made-up", Combination("Made up", divide, gamma, fold))
    rng = np.random.default_rng(8)
    # Magnitudes near 1, so that tanh of what is divided by nothing is neither 0 nor 1 throughout.
    maps = [stage_map(rng.random(shape), index) for index, shape in enumerate(TALL, 1)]
    weights = [1.0, 0.0, 0.35, 2.0]
    expected = combine(maps, weights, "made-up", (300, 224))
    _, _, shown = blended(blend, maps, weights, "made-up", (300, 224))
    np.testing.assert_allclose(shown, normalise(expected.values), rtol=0, atol=TOLERANCE)


def test_by_hand(blend: Page) -> None:
    # 1 × 2 maps to 1 × 3 pixels: the middle pixel is the mean of both.
    maps = [stage_map(np.array([[0.0, 4.0]])), stage_map(np.array([[2.0, 0.0]]), 2)]
    _, summed, shown = blended(blend, maps, [1.0, 0.5], "sum", (1, 3))
    assert summed.tolist() == [[1.0, 2.5, 4.0]]
    assert shown.tolist() == [[0.0, 0.5, 1.0]]
    _, scaled, _ = blended(blend, maps, [1.0, 0.5], "max", (1, 3))
    assert scaled.tolist() == [[0.5, 0.75, 1.0]]
    _, highest, _ = blended(blend, maps, [1.0, 0.5], "tanh", (1, 3))
    np.testing.assert_allclose(highest, np.tanh(2) * np.array([[0.5, 0.5, 1.0]]), rtol=1e-6)


@pytest.mark.parametrize("shape", [(112, 112), (14, 19), (10, 7), (7, 7), (3, 1), (1, 1)])
def test_upsampling_is_that_of_torch(blend: Page, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(7)
    source = stage_map(rng.random(shape))
    size_hw = (224, 299)
    shown = floats(blend.evaluate(UPSAMPLE, [sent(source), *size_hw]), size_hw)
    grid = torch.from_numpy(source.values)[None, None].double()
    expected = F.interpolate(grid, size_hw, mode="bilinear", align_corners=True)[0, 0].numpy()
    np.testing.assert_allclose(shown, expected, rtol=0, atol=1e-6)
