"""What cameras, seasons and skies do to a view: random, per view, on the device of the views."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

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


def augment(views: Tensor, generator: torch.Generator) -> Tensor:
    """Views (N, 4, S, S) in [0, 1] (red, green, blue, water) → RGB (N, 3, S, S) in [0, 1], each changed its own way.

    The sea is recoloured, then colour, cloud, sharpness, noise and compression vary. `generator` lives on the
    views' device, here and in every function below.
    """
    rgb = recolour_sea(views, generator)
    rgb = jitter_colour(rgb, generator)
    rgb = cloud_veil(rgb, generator)
    rgb = blur(rgb, generator)
    rgb = rgb + _uniform(len(rgb), 0.0, 0.03, generator) * torch.randn(
        rgb.shape, generator=generator, device=rgb.device
    )
    return jpeg(rgb.clamp(0, 1), generator)


def recolour_sea(views: Tensor, generator: torch.Generator, probability: float = 0.65) -> Tensor:
    """Paint the water of most views in another sea: any blue to green, shelves along the coasts, a rough floor.

    views (N, 4, S, S) in [0, 1] → RGB (N, 3, S, S) in [0, 1]; land stays as it is. The months show one flat sea,
    other renderings and real pictures do not; colour of water must not be a cue.
    """
    rgb, water = views[:, :3], views[:, 3:]
    n, _, size, _ = rgb.shape
    color = torch.cat(
        [
            _uniform(n, 0.0, 0.45, generator),
            _uniform(n, 0.02, 0.65, generator),
            _uniform(n, 0.05, 0.85, generator),
        ],
        dim=1,
    )
    dark = _uniform(n, 0.05, 1.0, generator)
    reach = max(3, size // 10) | 1
    near_land = 1 - F.avg_pool2d(F.pad(water, [reach // 2] * 4, mode="replicate"), reach, stride=1)
    shelf = _uniform(n, 0.0, 0.6, generator) * near_land.pow(_uniform(n, 0.5, 2.0, generator))
    floor = _uniform(n, 0.0, 0.5, generator) * _smooth_field(n, size, generator)
    painted = (color * dark * (1 + floor) + shelf * (color + 0.1)).clamp(0, 1)
    chosen = _chance(n, probability, generator) * water
    return rgb + chosen * (painted - rgb)


def jitter_colour(rgb: Tensor, generator: torch.Generator) -> Tensor:
    """Vary brightness, contrast, gamma, saturation and per-channel gain of RGB (N, 3, S, S); may leave [0, 1]."""
    n = len(rgb)
    rgb = rgb.clamp(1e-4, 1).pow(_uniform(n, 0.8, 1.25, generator))
    grey = rgb.mean(dim=1, keepdim=True)
    rgb = grey + (rgb - grey) * _uniform(n, 0.5, 1.4, generator)
    mean = rgb.mean(dim=(1, 2, 3), keepdim=True)
    rgb = mean + (rgb - mean) * _uniform(n, 0.8, 1.25, generator)
    gain = 1 + 0.1 * (2 * torch.rand(n, 3, 1, 1, generator=generator, device=rgb.device) - 1)
    return rgb * gain * _uniform(n, 0.75, 1.2, generator)


def cloud_veil(rgb: Tensor, generator: torch.Generator, probability: float = 0.3) -> Tensor:
    """Thin cloud over RGB (N, 3, S, S): white mixed in by a smooth random field, up to 70 % where thickest."""
    n, _, size, _ = rgb.shape
    field = _smooth_field(n, size, generator)
    cover = (field - _uniform(n, -0.5, 1.5, generator)).clamp(0, 1) * _uniform(n, 0.1, 0.7, generator)
    cover = cover * _chance(n, probability, generator)
    return rgb + cover * (0.95 - rgb)


def blur(rgb: Tensor, generator: torch.Generator, probability: float = 0.3) -> Tensor:
    """Gaussian blur of RGB (N, 3, S, S) for a share of the views, σ up to 0.6 % of the side but at least to 0.8 px."""
    n, channels, size, _ = rgb.shape
    radius = 3
    sigma = _uniform(n, 0.2, max(0.8, 0.006 * size), generator) * _chance(n, probability, generator) + 1e-2
    ticks = torch.arange(-radius, radius + 1, device=rgb.device).view(1, 1, 1, -1)
    kernel = torch.exp(-0.5 * (ticks / sigma) ** 2)
    kernel = (kernel / kernel.sum(dim=-1, keepdim=True)).expand(n, channels, 1, -1).reshape(n * channels, 1, 1, -1)
    flat = F.pad(rgb.reshape(1, n * channels, size, size), [radius] * 4, mode="replicate")
    flat = F.conv2d(flat, kernel, groups=n * channels)
    flat = F.conv2d(flat, kernel.transpose(2, 3), groups=n * channels)
    return flat.view(n, channels, size, size)


def jpeg(rgb: Tensor, generator: torch.Generator, probability: float = 0.5) -> Tensor:
    """Compress a share of the views, RGB (N, 3, S, S) in [0, 1], at a random quality from 30 to 95.

    Views whose side is no multiple of 8 are left as they are.
    """
    if rgb.shape[-1] % 8:
        return rgb
    quality = _uniform(len(rgb), 30.0, 95.0, generator)
    return torch.where(_chance(len(rgb), probability, generator) > 0, jpeg_loss(rgb, quality), rgb)


def jpeg_loss(rgb: Tensor, quality: Tensor) -> Tensor:
    """What JPEG leaves of RGB (N, 3, S, S) in [0, 1], S a multiple of 8, at `quality` (N, 1, 1, 1) from 1 to 100.

    Each 8×8 block's cosine coefficients are rounded to multiples of the standard's table, scaled as libjpeg does
    (ITU-T T.81, A.3). On RGB without chroma subsampling, which keeps it one matrix product per block on any device.
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


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(n, 1, 1, 1, generator=generator, device=generator.device)


def _chance(n: int, probability: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(n, 1, 1, 1, generator=generator, device=generator.device) < probability).float()


def _smooth_field(n: int, size: int, generator: torch.Generator) -> Tensor:
    """Random fields (N, 1, S, S) of zero mean and at most unit variance: three octaves of bilinearly enlarged noise."""
    field = torch.zeros(n, 1, size, size, device=generator.device)
    for cells, weight in ((4, 0.8), (9, 0.5), (20, 0.3)):
        noise = torch.randn(n, 1, cells, cells, generator=generator, device=generator.device)
        field += weight * F.interpolate(noise, size=(size, size), mode="bilinear", align_corners=True)
    return field
