"""Clouds, haze, glint, shade and space: where they appear and how strong they are."""

import math

import numpy as np
import pytest
import torch

from geoexplain.imagery.camera import Ground
from geoexplain.imagery.sky import (
    GLOW_RADII,
    cloud_cover,
    cloud_veil,
    cumulus,
    glint,
    haze,
    opaque_clouds,
    shade,
    space,
)
from tests.imagery.scenes import cloud_map, coast, flat_ground, generator, grey_scene, scene_of, smooth_views


def test_a_veil_lightens_towards_white_and_no_further() -> None:
    views = smooth_views(64) * 0.9
    veiled = cloud_veil(scene_of(views), generator())
    assert (veiled >= views - 1e-6).all()
    # at most 70 % of the way to 0.95
    assert (veiled <= views + 0.7 * (0.95 - views) + 1e-6).all()
    assert (veiled - views).max() > 0.2


def test_clouds_lighten_towards_their_own_brightness_and_hide_the_ground_where_they_are_thick() -> None:
    scene = grey_scene(50, shade=0.1)
    cover = torch.zeros(50, 1, 32, 32)
    cover[..., 8:16] = 0.5
    cover[..., 16:] = 1.0
    clouded = opaque_clouds(scene, cover, generator())
    assert torch.equal(clouded[..., :8], scene.rgb[..., :8])
    thick = clouded[..., 20:]
    assert (thick.amax(dim=1) - thick.amin(dim=1)).max() < 1e-6  # without colour
    # white to light grey, 0.7 to 1, a fifth darker at most where they are thick
    assert 0.7 * 0.8 - 1e-6 <= thick.min() <= thick.max() <= 1
    # half of a cloud: half of the ground, and half of a brightness between that of thick clouds and 1 / 0.8 of it
    half = clouded[..., 9:15].mean(dim=(1, 2, 3))
    bright = thick.mean(dim=(1, 2, 3))
    assert (half >= 0.05 + 0.5 * bright - 1e-5).all()
    assert (half <= 0.05 + 0.5 * bright / 0.8 + 1e-5).all()


def test_the_edge_of_a_view_is_as_cloudy_as_its_middle() -> None:
    clouded = opaque_clouds(grey_scene(4), torch.ones(4, 1, 32, 32), generator())
    assert clouded.std(dim=(2, 3)).max() < 1e-6


def test_cloud_cover_is_a_piece_of_the_map() -> None:
    clear, full = (torch.full_like(cloud_map().texels, shade) for shade in (0, 255))
    scene = grey_scene(100)
    for texels, low, high in ((clear, 0.0, 0.15), (full, 0.6, 1.0)):
        clouds = cloud_map()
        flat = type(clouds)(texels, clouds.offsets, clouds.heights, clouds.names)
        cover = cloud_cover(scene, flat, generator())
        assert cover.shape == (100, 1, 32, 32)
        assert 0 <= cover.min() <= cover.max() <= 1
        assert low <= cover.mean() <= high
    some = cloud_cover(scene, cloud_map(), generator())
    assert 0.1 < some.mean() < 0.8
    assert some.mean(dim=(1, 2, 3)).std() > 0.1  # from everywhere, at every width
    assert torch.equal(some, cloud_cover(scene, cloud_map(), generator()))


def test_cumulus_are_small_and_bright() -> None:
    scene = grey_scene(60, shade=0.2, size=64)
    under = cumulus(scene, generator())
    assert (under >= scene.rgb - 1e-6).all()
    assert under.max() <= 1
    assert 0.02 < (under > 0.5).float().mean() < 0.4
    # a quarter as many random numbers as pixels along a side: eight pixels on, hardly anything is left in common
    cover = under[:, 0] - 0.2
    cover = cover - cover.mean(dim=(1, 2), keepdim=True)
    near, far = ((cover[..., :-step] * cover[..., step:]).mean() / cover.square().mean() for step in (1, 24))
    assert near > 0.7
    assert abs(far) < 0.25


def test_haze_is_thicker_where_the_ground_is_seen_aslant() -> None:
    # black ground, so that what is seen is the colour of the air times 1 − exp(−τ / μ)
    ground = flat_ground(200, 16)
    ground.slant[:, :, 8:] = 0.5
    hazy = haze(scene_of(torch.zeros(200, 3, 16, 16), ground=ground), generator(), deepest=0.7)
    straight, aslant = hazy[..., 0].double(), hazy[..., 15].double()
    # along twice as much air: 1 − (1 − v)² = v (2 − v) of the air's colour c; ratio = 2 − v, so v and c are told
    veil = 2 - aslant / straight
    depth = -torch.log(1 - veil)
    assert 0.035 - 1e-3 < depth.min() < 0.08
    assert 0.6 < depth.max() < 0.7 + 1e-3
    colour = straight / veil
    low, high = torch.tensor([0.25, 0.4, 0.55]), torch.tensor([0.85, 0.9, 0.95])
    for channel in range(3):
        assert low[channel] - 0.01 < colour[:, channel].min() < low[channel] + 0.1
        assert high[channel] - 0.1 < colour[:, channel].max() < high[channel] + 0.01


def test_haze_at_the_limb_is_bounded() -> None:
    limb = flat_ground(20, 8, slant=0.0)
    hazy = haze(scene_of(torch.zeros(20, 3, 8, 8), ground=limb), generator())
    tenth = haze(scene_of(torch.zeros(20, 3, 8, 8), ground=flat_ground(20, 8, slant=0.1)), generator())
    assert torch.equal(hazy, tenth)


def test_the_sun_glints_on_water_only() -> None:
    rgb, water = coast(100)
    shone = glint(scene_of(rgb, water), generator())
    assert torch.equal(shone[..., :24], rgb[..., :24])
    sea = shone[..., 24:]
    assert (sea >= rgb[..., 24:]).all()
    assert sea.max() <= 0.95
    assert (sea.amax(dim=(1, 2, 3)) > 0.3).float().mean() > 0.4  # the others glint on land, or beside the view
    assert (sea.amin(dim=(1, 2, 3)) < 0.1).float().mean() > 0.9  # a spot, no veil


def test_shade_falls_along_one_direction_to_a_third_at_most() -> None:
    scene = scene_of(torch.ones(300, 3, 24, 24))
    shaded = shade(scene, generator())
    assert 1 / 3 <= shaded.min() < 0.4
    assert shaded.max() <= 1
    assert torch.equal(shaded[:, :1].expand_as(shaded), shaded)
    # a plane: second differences are nothing, and no two views' directions are alike
    across, down = (shaded[:, 0].diff(dim=dim) for dim in (2, 1))
    assert across.diff(dim=2).abs().max() < 1e-6
    assert down.diff(dim=1).abs().max() < 1e-6
    angles = torch.atan2(down.mean(dim=(1, 2)), across.mean(dim=(1, 2)))
    assert np.histogram(angles, np.linspace(-math.pi, math.pi, 9))[0].min() > 15  # 37 are due in every eighth


def test_space_is_black_but_for_a_glow_and_the_ground_stays() -> None:
    rgb = smooth_views(40, 16)
    ground = flat_ground(40, 16)
    height = ground.height.clone()
    height[:, :, 6] = GLOW_RADII
    height[:, :, 7] = 2 * GLOW_RADII
    height[:, :, 8:] = 0.5
    scene = scene_of(rgb, ground=Ground(ground.lat, ground.lon, ground.slant, height))
    seen = space(scene, generator())
    assert torch.equal(seen[..., :6], rgb[..., :6])
    assert seen[..., 8:].max() < 1e-6
    # the glow falls by e along its scale, and is bluish
    torch.testing.assert_close(seen[..., 6], seen[..., 7] * math.e)
    assert (seen[:, 2, :, 6] > seen[:, 0, :, 6]).all()
    assert seen[:, 2, 0, 6].max() == pytest.approx(0.95 * 0.9 / math.e, rel=0.1)
