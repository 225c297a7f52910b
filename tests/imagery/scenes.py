"""Synthetic scenes and surroundings with known pixels, and seeded generators."""

import torch
from torch import Tensor

from geoexplain.imagery.camera import Ground
from geoexplain.imagery.earth import Imagery, pack
from geoexplain.imagery.effects import Surroundings
from geoexplain.imagery.markings import Markings
from geoexplain.imagery.scene import Scene


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth_views(n: int = 8, size: int = 48, channels: int = 3) -> Tensor:
    coarse = torch.rand(n, channels, 6, 6, generator=generator(9))
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")


def coast(n: int = 8, size: int = 48) -> tuple[Tensor, Tensor]:
    """Return RGB and water of views: random land in the left half, a uniform dark sea in the right."""
    rgb, water = torch.rand(n, 3, size, size, generator=generator(1)), torch.zeros(n, 1, size, size)
    rgb[..., size // 2 :] = torch.tensor([0.01, 0.02, 0.08]).view(3, 1, 1)
    water[..., size // 2 :] = 1
    return rgb, water


def flat_ground(n: int, size: int, *, slant: float = 1.0, span_deg: float = 10.0) -> Ground:
    """Return ground around 0° 0°: latitudes fall by `span_deg` downwards, longitudes rise as much to the right."""
    ticks = torch.deg2rad(((torch.arange(size) + 0.5) / size - 0.5) * span_deg)
    lat, lon = (part.expand(n, size, size).clone() for part in (-ticks[:, None], ticks[None, :]))
    return Ground(lat, lon, torch.full_like(lat, slant), torch.zeros_like(lat))


def scene_of(rgb: Tensor, water: Tensor | None = None, ground: Ground | None = None) -> Scene:
    """Return a scene 10 degrees wide, by default of land seen from straight above."""
    n, _, size, _ = rgb.shape
    water = torch.zeros(n, 1, size, size) if water is None else water
    return Scene(rgb, water, ground or flat_ground(n, size), torch.full((n,), 10 * 111.195))


def grey_scene(n: int, shade: float = 0.3, size: int = 32) -> Scene:
    return scene_of(torch.full((n, 3, size, size), shade))


def cloud_map(height: int = 128) -> Imagery:
    """Return clouds of every size over half of the Earth, with clear sky between them."""
    field = torch.zeros(1, 1, height, 2 * height)
    for cells in (8, 16, 32, 64):
        noise = torch.randn(1, 1, cells, 2 * cells, generator=generator(5))
        field += torch.nn.functional.interpolate(noise, field.shape[2:], mode="bilinear") / cells**0.5
    opaque = (0.5 + field / field.std()).clamp(0, 1)
    return pack((opaque[0, 0, ..., None] * 255).to(torch.uint8)[None], ("clouds",))


def made_markings() -> Markings:
    """Return one border along the equator, and two sheets, with ink in the left half or in the upper half."""
    borders = torch.zeros(1, 64, 128, 1, dtype=torch.uint8)
    borders[:, 31:33] = 255
    sheets = torch.zeros(2, 64, 64, dtype=torch.uint8)
    sheets[0, :, :32] = 255
    sheets[1, :32] = 255
    return Markings(pack(borders, ("borders",)), sheets)


def made_surroundings(*, clouds: bool = True) -> Surroundings:
    return Surroundings(cloud_map() if clouds else None, made_markings())
