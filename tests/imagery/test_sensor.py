"""Effects of cameras and files: Gaussian blur, libjpeg's compression, greyscale, noise and frames."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from geoexplain.imagery.sensor import blur, frame, grey, jpeg, jpeg_loss, noise
from tests.imagery.scenes import generator, smooth_views


def quality(value: float, n: int = 1) -> Tensor:
    return torch.full((n, 1, 1, 1), float(value))


def test_blur_keeps_flat_colours_and_the_mean_and_takes_contrast() -> None:
    flat = torch.rand(6, 3, 1, 1, generator=generator()).expand(6, 3, 32, 32)
    torch.testing.assert_close(blur(flat, generator()), flat)
    rough = torch.rand(6, 3, 64, 64, generator=generator())
    blurred = blur(rough, generator())
    torch.testing.assert_close(blurred.mean(dim=(2, 3)), rough.mean(dim=(2, 3)), atol=0.01, rtol=0)
    assert (blurred.std(dim=(2, 3)) < rough.std(dim=(2, 3))).all()


def test_blur_spreads_a_point_into_a_gaussian() -> None:
    point = torch.zeros(100, 3, 33, 33)
    point[:, :, 16, 16] = 1
    spread = blur(point, generator(2)).double()
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


@pytest.mark.parametrize("value", [30, 50, 75, 95])
def test_compression_matches_libjpeg(value: int) -> None:
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


def test_qualities_are_from_30_to_95_and_odd_sizes_are_left_alone() -> None:
    views = smooth_views(1, 16).expand(200, -1, -1, -1)
    lost = (jpeg(views, generator()) - views).abs().mean(dim=(1, 2, 3))
    worst, best = ((jpeg_loss(views[:1], quality(q)) - views[:1]).abs().mean() for q in (30, 95))
    assert best * 0.8 < lost.min() < best * 1.5
    assert worst * 0.8 < lost.max() < worst * 1.25
    odd = smooth_views(4, 20)
    assert torch.equal(jpeg(odd, generator()), odd)


def test_noise_is_white_and_as_strong_as_it_may_be() -> None:
    flat = torch.full((400, 3, 32, 32), 0.5)
    drawn = noise(flat, generator(), most=0.04) - flat
    strength = drawn.std(dim=(1, 2, 3))
    assert strength.max() < 0.0415
    assert strength.mean() == pytest.approx(0.02, rel=0.1)  # uniform from 0
    assert drawn.mean().abs() < 1e-4
    neighbours = (drawn[..., 1:] * drawn[..., :-1]).mean() / drawn.var()
    assert neighbours.abs() < 0.01
    assert noise(torch.ones(20, 3, 8, 8), generator()).max() == 1


def test_grey_is_a_mean_of_the_channels() -> None:
    views = smooth_views(50)
    shade = grey(views, generator())
    assert shade.shape == views.shape
    assert torch.equal(shade[:, :1].expand_as(shade), shade)
    assert (shade >= views.amin(dim=1, keepdim=True) - 1e-6).all()
    assert (shade <= views.amax(dim=1, keepdim=True) + 1e-6).all()
    # one weight per view and channel: pure red gives one shade all over, another in every view
    red = torch.zeros(50, 3, 8, 8)
    red[:, 0] = 1
    weights = grey(red, generator())[:, 0]
    assert (weights.flatten(1).std(dim=1) < 1e-6).all()
    assert weights.flatten(1)[:, 0].std() > 0.05
    neutral = torch.rand(1, 1, 8, 8, generator=generator()).expand(50, 3, 8, 8)
    torch.testing.assert_close(grey(neutral, generator()), neutral)


def test_a_frame_leaves_the_middle_and_is_of_one_colour() -> None:
    views = smooth_views(300, 40) * 0.8 + 0.1
    framed = frame(views, generator(), widest=0.1)
    assert torch.equal(framed[:, :, 4:36, 4:36], views[:, :, 4:36, 4:36])
    colors = []
    for before, after in zip(views, framed, strict=True):
        changed = (before != after).any(dim=0)
        if changed.any():
            inked = after[:, changed]  # (3, pixels)
            assert (inked - inked[:, :1]).abs().max() < 1e-6
            colors.append(inked[:, 0])
    # an edge is framed where its width, uniform from −5 to 10 %, reaches the first pixel's middle at 1.25 %: 7 in 12
    assert len(colors) / 300 == pytest.approx(1 - (5 / 12) ** 4, abs=0.03)
    shades = torch.stack(colors)
    plain = ((shades == 0) | (shades == 1)).all(dim=1) & (shades[:, :1] == shades).all(dim=1)
    assert plain.float().mean() == pytest.approx(0.7, abs=0.08)
    assert 0.3 < shades[plain].mean() < 0.7  # both black and white
