"""Shares, bounds and distributions of the sampled views, and the scenes that they give."""

import dataclasses

import numpy as np
import pytest
import torch

from geoexplain.errors import DataError
from geoexplain.geography.sphere import EARTH_RADIUS_KM
from geoexplain.imagery.earth import Imagery
from geoexplain.imagery.mixture import (
    FARTHEST_CAMERA,
    NEAREST_CAMERA,
    MixedPoints,
    ViewMixture,
    sample_mixture,
)
from geoexplain.imagery.scene import mixed_scene, plain_scene
from geoexplain.imagery.views import LARGEST_FOOTPRINT_KM, ViewPoints, render
from tests.imagery.scenes import generator

COUNT = 4000
ONE = ViewMixture(extreme=0, turned=0, oblique=0, blended=0, softened=0)


def drawn(mixture: ViewMixture, count: int = COUNT, seed: int = 0, weights: tuple[float, ...] = (1, 1)) -> MixedPoints:
    return sample_mixture(count, torch.tensor(weights), generator(seed), mixture)


def both(points: MixedPoints, field: str) -> torch.Tensor:
    """Return a field of all views, in their order."""
    found = torch.empty(len(points.second))
    for rows, some in (points.plain, points.oblique):
        found[rows] = getattr(some, field).float()
    return found


def test_every_view_is_either_plain_or_oblique() -> None:
    points = drawn(ViewMixture(oblique=0.3))
    rows = torch.cat([points.plain[0], points.oblique[0]])
    assert torch.equal(rows.sort().values, torch.arange(COUNT))
    assert len(points.oblique[0]) / COUNT == pytest.approx(0.3, abs=0.03)
    assert points.plain[1].camera is None
    for rows, some in (points.plain, points.oblique):
        assert torch.equal(points.centers_deg[rows], some.centers_deg)


def test_widths_are_log_uniform_within_the_bounds_of_their_share() -> None:
    mixture = dataclasses.replace(ONE, footprint_km=(400.0, 1600.0), extreme_km=(2000.0, 8000.0), extreme=0.25)
    width = both(drawn(mixture), "footprint_km")
    extreme = width > 1700
    assert extreme.float().mean() == pytest.approx(0.25, abs=0.03)
    for some, low, high in ((width[~extreme], 400, 1600), (width[extreme], 2000, 8000)):
        assert low * 0.999 <= some.min() < low * 1.02
        assert high * 0.98 < some.max() <= high * 1.001
        # half of the views lie below the geometric mean, half of a log-uniform distribution's range
        assert (some < 2 * low).float().mean() == pytest.approx(0.5, abs=0.04)
        assert some.log().std().item() == pytest.approx(np.log(4) / np.sqrt(12), rel=0.06)


def test_a_share_is_turned_any_way_and_the_others_but_a_little() -> None:
    rotation = both(drawn(dataclasses.replace(ONE, turned=0.4, rotation_deg=20.0)), "rotation_deg")
    # of those turned any way, 20 in 180 lie within 20° by chance
    assert (rotation.abs() > 20).float().mean() == pytest.approx(0.4 * 160 / 180, abs=0.03)
    assert rotation.abs().max() > 170
    assert both(drawn(dataclasses.replace(ONE, rotation_deg=20.0)), "rotation_deg").abs().max() <= 20


def test_cameras_are_on_all_sides_half_of_them_below_the_view() -> None:
    points = drawn(dataclasses.replace(ONE, oblique=1.0, tilt_deg=50.0, rotation_deg=35.0))
    some = points.oblique[1]
    assert len(some) == COUNT
    camera = some.camera
    assert camera is not None
    assert 0 <= camera.tilt_deg.min() <= camera.tilt_deg.max() <= 50
    assert camera.tilt_deg.mean() == pytest.approx(25, abs=1)
    # from the picture's lower edge: the bearing to the camera is that of the upper edge turned round, ± 30°
    off = (camera.toward_deg - some.rotation_deg - 180 + 180) % 360 - 180
    within = (off.abs() <= 30).float().mean()
    assert within == pytest.approx(0.5 + 0.5 * 60 / 360, abs=0.03)
    # a distance of 0.8 to 15 widths, log-uniform
    widths = EARTH_RADIUS_KM / camera.nearness / some.footprint_km
    assert NEAREST_CAMERA * 0.999 <= widths.min() < NEAREST_CAMERA * 1.05
    assert FARTHEST_CAMERA * 0.95 < widths.max() <= FARTHEST_CAMERA * 1.001
    middle = (NEAREST_CAMERA * FARTHEST_CAMERA) ** 0.5
    assert (widths < middle).float().mean() == pytest.approx(0.5, abs=0.03)


def test_images_are_drawn_by_their_weights() -> None:
    points = drawn(ViewMixture(), weights=(1.0, 0.0, 3.0))
    for source in (both(points, "source").long(), points.second):
        counts = torch.bincount(source, minlength=3) / COUNT
        np.testing.assert_allclose(counts, (0.25, 0, 0.75), atol=0.03)
    agree = (both(points, "source").long() == points.second).float().mean()
    assert agree == pytest.approx(0.25**2 + 0.75**2, abs=0.03)  # drawn independently


def test_shares_of_blends_and_of_softer_levels() -> None:
    points = drawn(dataclasses.replace(ONE, blended=0.3, softened=0.8))
    mixed = points.share[points.share > 0]
    assert len(mixed) / COUNT == pytest.approx(0.3, abs=0.03)
    assert 0 < mixed.min() < 0.02
    assert 0.98 < mixed.max() < 1
    # of the softened a quarter keep their level, a half go one further, a quarter two
    softer = torch.bincount(points.softer, minlength=3) / COUNT
    np.testing.assert_allclose(softer, (0.2 + 0.8 / 4, 0.8 / 2, 0.8 / 4), atol=0.03)
    plain = drawn(ONE, 50)
    assert not plain.share.any()
    assert not plain.softer.any()


def test_the_same_seed_draws_the_same_views() -> None:
    first, again, other = (drawn(ViewMixture(), 60, seed) for seed in (3, 3, 4))
    for name in ("footprint_km", "rotation_deg", "source"):
        assert torch.equal(both(first, name), both(again, name))
        assert not torch.equal(both(first, name), both(other, name))
    assert torch.equal(first.centers_deg, again.centers_deg)
    assert torch.equal(first.share, again.share)


@pytest.mark.parametrize("weights", [(0.0, 0.0), (-1.0, 2.0), (float("nan"), 1.0), (float("inf"), 1.0)])
def test_invalid_weights_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(DataError, match="expected weights of images"):
        drawn(ViewMixture(), 3, weights=weights)


@pytest.mark.parametrize(
    "options",
    [
        {"footprint_km": (0.0, 10.0)},
        {"footprint_km": (900.0, 100.0)},
        {"extreme_km": (100.0, LARGEST_FOOTPRINT_KM + 1)},
        {"blended": 1.1},
        {"oblique": -0.1},
        {"softened": float("nan")},
        {"rotation_deg": 181.0},
        {"tilt_deg": 90.0},
    ],
)
def test_invalid_mixtures_are_refused(options: dict) -> None:
    with pytest.raises(DataError, match="expected widths from low to high"):
        ViewMixture(**options)


@pytest.fixture(scope="module")
def imagery() -> Imagery:
    """Return two renderings of noise with four levels each."""
    heights = [64, 32, 16, 8]
    texels = torch.randint(256, (sum(2 * 2 * h * h for h in heights), 4), generator=generator(8), dtype=torch.uint8)
    counts = torch.tensor([0] + [2 * 2 * h * h for h in heights[:-1]])
    return Imagery(texels, counts.cumsum(0), torch.tensor(heights), ("one", "other"))


def test_a_mixed_scene_is_the_views_one_by_one(imagery: Imagery) -> None:
    points = drawn(ViewMixture(blended=0, softened=0, oblique=0.5), 12)
    scene = mixed_scene(imagery, points, 16)
    assert len(scene) == 12
    for rows, some in (points.plain, points.oblique):
        assert len(rows) > 2
        alone = plain_scene(imagery, some, 16)
        torch.testing.assert_close(scene.rgb[rows], alone.rgb)
        torch.testing.assert_close(scene.water[rows], alone.water)
        torch.testing.assert_close(scene.ground[rows].lat, alone.ground.lat)
        torch.testing.assert_close(scene.ground[rows].height, alone.ground.height)
        torch.testing.assert_close(scene.footprint_km[rows], some.footprint_km)
        torch.testing.assert_close(torch.cat([alone.rgb, alone.water], 1), render(imagery, some, 16))


def test_blended_views_lie_between_two_renderings_of_one_place(imagery: Imagery) -> None:
    points = drawn(ViewMixture(blended=0.7, softened=0, oblique=0), 20)
    scene = mixed_scene(imagery, points, 16)
    view = points.plain[1]
    own, other = render(imagery, view, 16), render(imagery, dataclasses.replace(view, source=points.second), 16)
    share = points.share.view(-1, 1, 1, 1)
    torch.testing.assert_close(scene.rgb, (1 - share) * own[:, :3] + share * other[:, :3])
    torch.testing.assert_close(scene.water, own[:, 3:])
    assert (scene.rgb - own[:, :3]).abs().max() > 0.05


def test_softer_views_are_taken_from_coarser_levels(imagery: Imagery) -> None:
    # a shade for each level, everywhere: 64 rows are 313 km each, the next levels 625, 1250, 2500
    texels = torch.cat([torch.full((2 * 2 * h * h, 4), 40 * i + 20) for i, h in enumerate((64, 32, 16, 8))])
    shaded = dataclasses.replace(imagery, texels=texels.to(torch.uint8))
    centers = torch.tensor([(10.0, 10.0)] * 4, dtype=torch.float64)
    width = torch.tensor([313.0, 313.0, 1250.0, 1250.0]) * 8
    some = ViewPoints(centers, width, torch.zeros(4), torch.zeros(4).long())
    nobody = torch.zeros(0).long()
    points = MixedPoints(
        (torch.arange(4), some),
        (nobody, some[nobody]),
        centers,
        torch.zeros(4).long(),
        torch.zeros(4),
        torch.tensor([0, 2, 0, 2]),
    )
    scene = mixed_scene(shaded, points, 8)
    for view, level in zip(scene.rgb, (0, 2, 2, 3), strict=True):  # there is none beyond the last
        torch.testing.assert_close(view, torch.full_like(view, (40 * level + 20) / 255))


def test_selecting_rows_and_replacing_colours_of_a_scene(imagery: Imagery) -> None:
    scene = mixed_scene(imagery, drawn(ViewMixture(), 6), 8)
    rows = torch.tensor([4, 1])
    some = scene[rows]
    assert torch.equal(some.rgb, scene.rgb[rows])
    assert torch.equal(some.ground.lon, scene.ground.lon[rows])
    assert torch.equal(some.footprint_km, scene.footprint_km[rows])
    black = scene.with_rgb(torch.zeros_like(scene.rgb))
    assert not black.rgb.any()
    assert black.ground is scene.ground
    assert scene.rgb.any()
