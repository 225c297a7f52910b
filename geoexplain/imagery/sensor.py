"""Effects of cameras and file formats on a picture: blur, noise, greyscale, frames and JPEG compression."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from geoexplain.imagery.draws import chance, uniform

# The luminance table of the JPEG standard (ITU-T T.81, Annex K.1), used for all three channels.
JPEG_TABLE = torch.tensor(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    dtype=torch.float32,
)


def blur(rgb: Tensor, generator: torch.Generator) -> Tensor:
    """Blur RGB (N, 3, S, S) by a Gaussian, σ uniform from 0.2 px to 0.6 % of the side, or to 0.8 px if that is more."""
    n, channels, size, _ = rgb.shape
    radius = 3
    sigma = uniform(n, 0.2, max(0.8, 0.006 * size), generator)
    ticks = torch.arange(-radius, radius + 1, device=rgb.device).view(1, 1, 1, -1)
    kernel = torch.exp(-0.5 * (ticks / sigma) ** 2)
    kernel = (kernel / kernel.sum(dim=-1, keepdim=True)).expand(n, channels, 1, -1).reshape(n * channels, 1, 1, -1)
    flat = F.pad(rgb.reshape(1, n * channels, size, size), [radius] * 4, mode="replicate")
    flat = F.conv2d(flat, kernel, groups=n * channels)
    flat = F.conv2d(flat, kernel.transpose(2, 3), groups=n * channels)
    return flat.view(n, channels, size, size)


def noise(rgb: Tensor, generator: torch.Generator, most: float = 0.035) -> Tensor:
    """Add white noise with a standard deviation uniform up to `most` to RGB (N, 3, S, S); clipped to [0, 1]."""
    drawn = torch.randn(rgb.shape, generator=generator, device=rgb.device)
    return (rgb + uniform(len(rgb), 0.0, most, generator) * drawn).clamp(0, 1)


def grey(rgb: Tensor, generator: torch.Generator) -> Tensor:
    """Convert RGB (N, 3, S, S) to grey, with random weights of the channels; the result has three equal channels."""
    weights = torch.rand(len(rgb), 3, 1, 1, generator=generator, device=rgb.device) + 0.1
    return (rgb * weights / weights.sum(dim=1, keepdim=True)).sum(dim=1, keepdim=True).expand_as(rgb)


def frame(rgb: Tensor, generator: torch.Generator, widest: float = 0.1) -> Tensor:
    """Draw a grey or coloured border around RGB (N, 3, S, S), up to `widest` of the side on each edge."""
    n, _, size, _ = rgb.shape
    color = torch.rand(n, 3, 1, 1, generator=generator, device=rgb.device)
    color = torch.where(chance(n, 0.7, generator) > 0, color[:, :1].round(), color)
    ticks = (torch.arange(size, device=rgb.device) + 0.5) / size
    inside = torch.ones(n, 1, size, size, device=rgb.device)
    for line in (ticks.view(1, 1, 1, -1), ticks.view(1, 1, -1, 1)):
        near = uniform(n, -widest / 2, widest, generator)
        far = uniform(n, -widest / 2, widest, generator)
        inside = inside * ((line > near) & (line < 1 - far)).float()
    return torch.lerp(color.expand_as(rgb), rgb, inside)


def jpeg(rgb: Tensor, generator: torch.Generator) -> Tensor:
    """Compress RGB (N, 3, S, S) in [0, 1] at a random quality from 30 to 95.

    Views whose side is not a multiple of 8 are returned unchanged.
    """
    if rgb.shape[-1] % 8:
        return rgb
    return jpeg_loss(rgb, uniform(len(rgb), 30.0, 95.0, generator))


def jpeg_loss(rgb: Tensor, quality: Tensor) -> Tensor:
    """Apply the loss of JPEG to RGB (N, 3, S, S) in [0, 1], S a multiple of 8, at `quality` (N, 1, 1, 1) from 1 to 100.

    The cosine coefficients of each 8×8 block are rounded to multiples of the standard's table, scaled as in libjpeg
    (ITU-T T.81, A.3). RGB is used instead of YCbCr, without chroma subsampling, so that the loss is a few matrix
    products on any device.
    """
    n, channels, size, _ = rgb.shape
    k = torch.arange(8, dtype=torch.float32, device=rgb.device)
    basis = torch.cos(math.pi * (2 * k + 1) * k.view(-1, 1) / 16) * 0.5  # (frequency, position)
    basis[0] /= math.sqrt(2)
    scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50)
    step = (JPEG_TABLE.to(rgb.device) * scale).round().clamp_min(1).view(n, 1, 1, 1, 8, 8) / 255
    blocks = rgb.reshape(n, channels, size // 8, 8, size // 8, 8).transpose(3, 4)  # (N, 3, S/8, S/8, 8, 8)
    rounded = (basis @ blocks @ basis.T / step).round() * step
    return (basis.T @ rounded @ basis).transpose(3, 4).reshape(rgb.shape).clamp(0, 1)
