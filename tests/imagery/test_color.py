"""Random changes of colours, and the properties that each of them keeps."""

import numpy as np
import pytest
import torch

from geoexplain.imagery.color import develop, flatten_land, jitter_color, recolor_sea, remap_colors
from tests.imagery.scenes import coast, generator, smooth_views


def test_the_sea_changes_and_the_land_does_not() -> None:
    rgb, water = coast(64)
    painted = recolor_sea(rgb, water, generator())
    assert torch.equal(painted[..., :24], rgb[..., :24])
    assert (painted[..., 24:] != rgb[..., 24:]).flatten(1).any(dim=1).all()
    assert 0 <= painted.min() <= painted.max() <= 1
    # seas differ from view to view, so that no colour can be learned
    assert painted[..., 24:].mean(dim=(2, 3)).std(dim=0).min() > 0.03


def test_half_water_is_half_painted() -> None:
    rgb, shallow = coast(4)[0], torch.full((4, 1, 48, 48), 0.5)
    # no shore in either, so the same draws paint the same sea but for its shelf, which near_land = 0.5 would brighten
    half = recolor_sea(rgb, shallow, generator())
    full = recolor_sea(rgb, torch.ones_like(shallow), generator())
    # the sea painted over half of a pixel leaves half of what was there
    assert (half >= 0.5 * rgb - 1e-6).all()
    assert (half >= 0.5 * (rgb + full) - 1e-6).all()
    assert (half <= 0.5 * (rgb + 1) + 1e-6).all()


def test_without_water_nothing_is_painted() -> None:
    views = smooth_views()
    assert torch.equal(recolor_sea(views, torch.zeros(8, 1, 48, 48), generator()), views)


def test_shelves_are_brighter_than_the_open_sea() -> None:
    painted = recolor_sea(*coast(200), generator(3)).mean(dim=1)
    # the shore is at column 24; a window of 5 pixels looks two pixels out
    assert painted[:, :, 24].mean() > painted[:, :, 40].mean() + 0.02


def test_colours_are_jittered_about_where_they_were() -> None:
    views = smooth_views(400, 8) * 0.6 + 0.2
    changed = jitter_color(views, generator())
    ratio = changed.mean(dim=(1, 2, 3)) / views.mean(dim=(1, 2, 3))
    assert 0.4 < ratio.min() < 0.75
    assert 1.2 < ratio.max() < 1.7
    assert ratio.mean() == pytest.approx(0.975, abs=0.05)  # the middle of 0.75 … 1.2
    grey = torch.full((400, 3, 8, 8), 0.5)
    cast = jitter_color(grey, generator())
    assert cast.std(dim=(2, 3)).max() < 1e-6
    tint = (cast.amax(dim=1) / cast.amin(dim=1)).max()
    assert 1.1 < tint <= 1.1 / 0.9 + 1e-5


def test_develop_stays_within_its_documented_ranges() -> None:
    grey = develop(torch.full((2000, 3, 4, 4), 0.3), generator())
    assert grey.std(dim=(2, 3)).max() < 1e-6
    # gamma ½ to 2, times a gain of a quarter either way, times 0.35 to 1.3
    assert 0.3**2 * 0.75 * 0.35 <= grey.min() < 0.04
    assert 0.75 < grey.max() <= 0.3**0.5 * 1.25 * 1.3
    cast = grey.amax(dim=(1, 2, 3)) / grey.amin(dim=(1, 2, 3))
    assert 1.5 < cast.max() <= 1.25 / 0.75 + 1e-4
    # two colours of the same mean after any gamma: red and green, apart by the saturation alone
    halves = torch.zeros(2000, 3, 4, 4)
    halves[:, 0, :, :2] = halves[:, 1, :, 2:] = 0.3
    developed = develop(halves, generator(1))
    assert 0 <= developed.min() <= developed.max() <= 1
    apart = (developed[:, 0, :, :2] - developed[:, 0, :, 2:]).mean(dim=(1, 2))
    assert apart.min() < 0.01  # nearly grey
    assert apart.max() > 0.5
    # halves of a view are alike but for the channel's gain; contrast is about the mean of all
    light = torch.full((2000, 3, 4, 4), 0.4)
    light[..., 2:] = 0.6
    kept = develop(light, generator(2))
    contrast = (kept[..., 3] - kept[..., 0]).mean(dim=(1, 2)) / kept.mean(dim=(1, 2, 3))
    unclipped = kept.amax(dim=(1, 2, 3)) < 1
    # of 0.4 and 0.6 a gamma from ½ to 2 makes a contrast from 0.202 to 0.769, of which 0.3 to 1.3 is left
    assert 0.3 * 0.202 <= contrast[unclipped].min() < 0.1
    assert 0.7 < contrast[unclipped].max() <= 1.3 * 0.769


def test_one_colour_becomes_one_colour_whatever_lies_around_it() -> None:
    checkers = (torch.arange(16)[:, None] + torch.arange(16)) % 3  # three kinds of ground
    grounds = torch.tensor([[0.1, 0.3, 0.1], [0.8, 0.7, 0.4], [0.0, 0.1, 0.3]])
    views = grounds[checkers].permute(2, 0, 1).expand(50, 3, 16, 16)
    mapped = remap_colors(views, generator())
    assert 0 <= mapped.min() <= mapped.max() <= 1
    for kind in range(3):
        same = mapped[:, :, checkers == kind]  # (N, 3, pixels)
        assert (same - same[..., :1]).abs().max() < 1e-5
    assert (mapped - views).abs().mean() > 0.05


def test_the_share_of_other_colours_is_at_most_the_strongest() -> None:
    views = smooth_views(300, 8)
    assert torch.equal(remap_colors(views, generator(), strongest=0.0), views)
    moved = (remap_colors(views, generator(), strongest=0.2) - views).abs()
    assert moved.max() <= 0.2


def test_land_and_sea_become_two_colours_where_there_is_no_relief() -> None:
    _, water = coast(30)
    flat = flatten_land(torch.full((30, 3, 48, 48), 0.4), water, generator())
    land, sea = flat[..., :24], flat[..., 24:]
    for part in (land, sea):
        assert part.std(dim=(2, 3)).max() < 1e-6
    assert (land.mean(dim=(2, 3)) - sea.mean(dim=(2, 3))).abs().amax(dim=1).min() > 0.02
    # uniform colours: their mean over 30 views and 3 channels is a half within three deviations of 0.289 / √90
    assert land.mean() == pytest.approx(0.5, abs=0.1)


def test_relief_stays_on_land_only() -> None:
    rgb, water = smooth_views(40), coast(40)[1]
    flat = flatten_land(rgb, water, generator(2))
    assert flat[..., 24:].std(dim=(2, 3)).max() < 1e-6
    inside = ((flat > 0) & (flat < 1)).all(dim=1)[..., :24]  # clipped colours follow nothing
    correlations = []
    for view in range(40):
        seen = inside[view]
        if seen.float().mean() > 0.9:
            relief = rgb[view].mean(dim=0)[:, :24][seen]
            correlations.append(np.corrcoef(flat[view, 0, :, :24][seen], relief)[0, 1])
    assert len(correlations) > 5
    assert min(correlations) > 0.99
