"""What is done to views: each change keeps what it must keep, and compression is libjpeg's."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from geoexplain.imagery.augmentation import (
    augment,
    blur,
    cloud_veil,
    jitter_colour,
    jpeg,
    jpeg_loss,
    recolour_sea,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth_views(n: int = 8, size: int = 48, channels: int = 3) -> Tensor:
    coarse = torch.rand(n, channels, 6, 6, generator=generator(9))
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")


def coast(n: int = 8, size: int = 48) -> Tensor:
    """Views (n, 4, size, size): random land in the left half, a flat dark sea in the right."""
    views = torch.zeros(n, 4, size, size)
    views[:, :3] = torch.rand(n, 3, size, size, generator=generator(1))
    views[:, :3, :, size // 2 :] = torch.tensor([0.01, 0.02, 0.08]).view(3, 1, 1)
    views[:, 3, :, size // 2 :] = 1
    return views


def quality(value: float, n: int = 1) -> Tensor:
    return torch.full((n, 1, 1, 1), float(value))


def test_the_sea_changes_and_the_land_does_not() -> None:
    views = coast(64)
    painted = recolour_sea(views, generator())
    assert torch.equal(painted[..., :24], views[:, :3, :, :24])
    changed = (painted[..., 24:] != views[:, :3, :, 24:]).flatten(1).any(dim=1)
    assert changed.float().mean() == pytest.approx(0.65, abs=0.2)
    assert 0 <= painted.min() <= painted.max() <= 1
    # seas differ from view to view, so that no colour can be learned
    assert painted[changed][..., 24:].mean(dim=(2, 3)).std(dim=0).min() > 0.03


def test_half_water_is_half_painted() -> None:
    rgb, shallow = coast(4)[:, :3], torch.full((4, 1, 48, 48), 0.5)
    # no shore in either, so the same draws paint the same sea but for its shelf, which near_land = 0.5 would brighten
    half = recolour_sea(torch.cat([rgb, shallow], dim=1), generator(), probability=1.0)
    full = recolour_sea(torch.cat([rgb, torch.ones_like(shallow)], dim=1), generator(), probability=1.0)
    # the sea painted over half of a pixel leaves half of what was there
    assert (half >= 0.5 * rgb - 1e-6).all()
    assert (half >= 0.5 * (rgb + full) - 1e-6).all()
    assert (half <= 0.5 * (rgb + 1) + 1e-6).all()


def test_probabilities_of_none_and_all_are_kept() -> None:
    views = coast(30)
    assert torch.equal(recolour_sea(views, generator(), probability=0.0), views[:, :3])
    painted = recolour_sea(views, generator(), probability=1.0)
    assert (painted[..., 24:] != views[:, :3, :, 24:]).flatten(1).any(dim=1).all()


def test_without_water_nothing_is_painted() -> None:
    views = torch.cat([smooth_views(), torch.zeros(8, 1, 48, 48)], dim=1)
    assert torch.equal(recolour_sea(views, generator(), probability=1.0), views[:, :3])


def test_shelves_are_brighter_than_the_open_sea() -> None:
    views = coast(200)
    painted = recolour_sea(views, generator(3), probability=1.0).mean(dim=1)
    # the shore is at column 24; a window of 5 pixels looks two pixels out
    assert painted[:, :, 24].mean() > painted[:, :, 40].mean() + 0.02


def test_a_veil_lightens_towards_white_and_no_further() -> None:
    views = smooth_views(64) * 0.9
    veiled = cloud_veil(views, generator(), probability=1.0)
    assert (veiled >= views - 1e-6).all()
    # at most 70 % of the way to 0.95
    assert (veiled <= views + 0.7 * (0.95 - views) + 1e-6).all()
    assert (veiled - views).max() > 0.2
    assert torch.equal(cloud_veil(views, generator(), probability=0.0), views)
    touched = (cloud_veil(views, generator(), probability=0.3) != views).flatten(1).any(dim=1)
    assert 0.05 < touched.float().mean() < 0.5


def test_blur_keeps_flat_colours_and_the_mean_and_takes_contrast() -> None:
    flat = torch.rand(6, 3, 1, 1, generator=generator()).expand(6, 3, 32, 32)
    torch.testing.assert_close(blur(flat, generator(), probability=1.0), flat)
    rough = torch.rand(6, 3, 64, 64, generator=generator())
    blurred = blur(rough, generator(), probability=1.0)
    torch.testing.assert_close(blurred.mean(dim=(2, 3)), rough.mean(dim=(2, 3)), atol=0.01, rtol=0)
    assert (blurred.std(dim=(2, 3)) < rough.std(dim=(2, 3))).all()
    torch.testing.assert_close(blur(rough, generator(), probability=0.0), rough)


def test_blur_spreads_a_point_into_a_gaussian() -> None:
    point = torch.zeros(100, 3, 33, 33)
    point[:, :, 16, 16] = 1
    spread = blur(point, generator(2), probability=1.0).double()
    torch.testing.assert_close(spread.sum(dim=(2, 3)), torch.ones(100, 3, dtype=torch.float64))
    torch.testing.assert_close(spread, spread.transpose(2, 3))
    rows = spread.sum(dim=3)  # (100, 3, 33)
    # a Gaussian's values at 0, 1 and 2 pixels: the logarithm falls by 1 / 2σ² and by 4 / 2σ²
    first, second = (rows[..., 16] / rows[..., 17]).log(), (rows[..., 16] / rows[..., 18]).log()
    sigma = (0.5 / first).sqrt()
    wide = sigma > 0.4  # narrower ones leave float32 nothing at 2 pixels
    np.testing.assert_allclose((second / first)[wide], 4, rtol=1e-3)
    np.testing.assert_allclose(sigma, sigma[:, :1].expand(100, 3), rtol=1e-3)  # all channels of a view alike
    # uniform from 0.2 to 0.8 px in a small view
    assert 0.2 < sigma.min() < 0.25
    assert 0.75 < sigma.max() < 0.81
    assert sigma.mean() == pytest.approx(0.5, abs=0.06)


def test_colours_are_jittered_about_where_they_were() -> None:
    views = smooth_views(400, 8) * 0.6 + 0.2
    changed = jitter_colour(views, generator())
    ratio = changed.mean(dim=(1, 2, 3)) / views.mean(dim=(1, 2, 3))
    assert 0.4 < ratio.min() < 0.75
    assert 1.2 < ratio.max() < 1.7
    assert ratio.mean() == pytest.approx(0.975, abs=0.05)  # the middle of 0.75 … 1.2
    grey = torch.full((400, 3, 8, 8), 0.5)
    cast = jitter_colour(grey, generator())
    assert cast.std(dim=(2, 3)).max() < 1e-6
    tint = (cast.amax(dim=1) / cast.amin(dim=1)).max()
    assert 1.1 < tint <= 1.1 / 0.9 + 1e-5


@pytest.mark.parametrize("value", [30, 50, 75, 95])
def test_compression_is_libjpeg_s(value: int) -> None:
    # grey, since colour adds chroma subsampling; libjpeg rounds its table and its pixels to whole numbers
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 9)).astype(np.uint8))
    original = np.asarray(coarse.resize((64, 64), Image.Resampling.BICUBIC)).astype(np.int16)
    original = np.clip(original + rng.normal(0, 6, original.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(original).save(file, "JPEG", quality=value)
    theirs = np.asarray(Image.open(file)).astype(float)
    ours = jpeg_loss(torch.from_numpy(original)[None, None].float() / 255, quality(value))[0, 0].numpy() * 255
    apart, lost = np.abs(ours - theirs).mean(), np.abs(theirs - original).mean()
    assert lost > 0.5
    assert apart < 0.1 * lost + 0.4  # theirs is rounded to whole pixels, 0.25 away on average
    assert np.abs(ours - original).mean() == pytest.approx(lost, rel=0.15, abs=0.15)


def test_each_quality_loses_less_than_the_one_below() -> None:
    views = smooth_views(1, 64) + 0.05 * torch.randn(1, 3, 64, 64, generator=generator())
    views = views.clamp(0, 1)
    losses = [(jpeg_loss(views, quality(q)) - views).abs().mean().item() for q in (10, 30, 49, 50, 70, 95, 100)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1 / 255
    assert losses[-2] < 3 / 255


def test_compressing_twice_changes_nothing_more() -> None:
    views = smooth_views() * 0.8 + 0.1  # away from 0 and 1, where clipping would move coefficients
    once = jpeg_loss(views, quality(40, 8))
    assert (once - views).abs().max() > 0.01
    torch.testing.assert_close(jpeg_loss(once, quality(40, 8)), once, atol=1e-5, rtol=0)


def test_blocks_are_compressed_each_for_itself_and_each_view_at_its_quality() -> None:
    views = smooth_views(2, 16)
    both = jpeg_loss(views, torch.cat([quality(30), quality(90)]))
    torch.testing.assert_close(both[:1], jpeg_loss(views[:1], quality(30)))
    torch.testing.assert_close(both[1:], jpeg_loss(views[1:], quality(90)))
    torch.testing.assert_close(both[:1, :, 8:, :8], jpeg_loss(views[:1, :, 8:, :8], quality(30)))


def test_a_share_is_compressed_and_odd_sizes_are_left_alone() -> None:
    views = smooth_views(200, 16)
    changed = ((jpeg(views, generator(), probability=0.5) - views).abs() > 0).flatten(1).any(dim=1)
    assert changed.float().mean() == pytest.approx(0.5, abs=0.12)
    odd = smooth_views(4, 20)
    assert torch.equal(jpeg(odd, generator(), probability=1.0), odd)


@pytest.mark.parametrize("size", [96, 50])
def test_augmented_views_are_images_and_the_same_for_a_seed(size: int) -> None:
    views = coast(16, size)
    before = views.clone()
    first = augment(views, generator(4))
    assert torch.equal(views, before)
    assert first.shape == (16, 3, size, size)
    assert first.dtype == torch.float32
    assert 0 <= first.min() <= first.max() <= 1
    assert torch.equal(first, augment(views, generator(4)))
    assert not torch.equal(first, augment(views, generator(5)))


def test_views_are_changed_each_in_its_own_way() -> None:
    same = coast(1).expand(12, -1, -1, -1)
    changed = augment(same, generator())
    for i in range(12):
        for j in range(i):
            assert (changed[i] - changed[j]).abs().mean() > 0.005


def test_what_is_seen_stays_recognisable() -> None:
    views = torch.cat([smooth_views(32), torch.zeros(32, 1, 48, 48)], dim=1)
    grey_before, grey_after = views[:, :3].mean(dim=1).flatten(1), augment(views, generator(7)).mean(dim=1).flatten(1)
    correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(grey_before, grey_after, strict=True)]
    assert np.median(correlations) > 0.9
    assert min(correlations) > 0.5
