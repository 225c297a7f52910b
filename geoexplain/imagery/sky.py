"""Effects between the ground and a camera in space: clouds, haze, glint, shade, and black space around the Earth."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from geoexplain.imagery.draws import smooth_field, uniform
from geoexplain.imagery.earth import Imagery
from geoexplain.imagery.scene import Scene
from geoexplain.imagery.views import ViewPoints, render

CLOUD_WIDTHS = (0.6, 2.5)
"""Bounds of the width of the piece of sky over a view, in widths of the view, so that clouds have many sizes."""

NARROWEST_SKY_KM, WIDEST_SKY_KM = 900.0, 9000.0
"""Bounds of that width: the map of clouds has pixels of about 10 km, and at most half of the globe is visible."""

GLOW_RADII = 0.006
"""Scale height of the glow above the limb, in Earth radii: about 40 km."""


def cloud_cover(scene: Scene, clouds: Imagery, generator: torch.Generator) -> Tensor:
    """Draw the opacity (N, 1, S, S) in [0, 1] of a random piece of a map of clouds, 60° S to 60° N, for each view.

    `generator` is on the device of the views.
    """
    n, size_px, device = len(scene), scene.rgb.shape[-1], generator.device
    unit = torch.rand(4, n, generator=generator, device=device)
    low, high = (math.log(x) for x in CLOUD_WIDTHS)
    width = scene.footprint_km * (low + (high - low) * unit[0]).exp()
    centers = torch.stack([120 * unit[1] - 60, 360 * unit[2] - 180], dim=1).double()
    points = ViewPoints(
        centers,
        width.clamp(NARROWEST_SKY_KM, WIDEST_SKY_KM),
        360 * unit[3] - 180,
        torch.randint(len(clouds), (n,), generator=generator, device=device),
    )
    grey = render(clouds, points, size_px).to(scene.rgb.device)
    grey = grey * uniform(n, 0.6, 2.5, generator) - uniform(n, 0.0, 0.5, generator)
    return (grey + uniform(n, 0.0, 0.3, generator) * smooth_field(n, size_px, generator)).clamp(0, 1)


def opaque_clouds(scene: Scene, cover: Tensor, generator: torch.Generator) -> Tensor:
    """Cover the views with clouds of an opacity (N, 1, S, S), white to light grey, slightly darker where thick."""
    n = len(scene)
    thickness = F.avg_pool2d(cover, 3, 1, 1, count_include_pad=False)
    bright = uniform(n, 0.7, 1.0, generator) * (1 - uniform(n, 0.0, 0.2, generator) * thickness)
    return torch.lerp(scene.rgb, bright.expand_as(scene.rgb), cover)


def cumulus(scene: Scene, generator: torch.Generator) -> Tensor:
    """Cover the views with small cumulus: bright flecks of a few pixels where a fine random field is high."""
    n, size_px = len(scene), scene.rgb.shape[-1]
    cells = max(8, size_px // 4)
    fine = torch.randn(n, 1, cells, cells, generator=generator, device=scene.rgb.device)
    fine = F.interpolate(fine, size=(size_px, size_px), mode="bilinear", align_corners=True)
    field = fine + smooth_field(n, size_px, generator)
    cover = ((field - uniform(n, 0.6, 2.0, generator)) * uniform(n, 1.0, 4.0, generator)).clamp(0, 1)
    return torch.lerp(scene.rgb, uniform(n, 0.75, 1.0, generator).expand_as(scene.rgb), cover)


def cloud_veil(scene: Scene, generator: torch.Generator) -> Tensor:
    """Cover the views with thin cloud: white, blended by a smooth random field, up to 70 %."""
    n, size_px = len(scene), scene.rgb.shape[-1]
    field = smooth_field(n, size_px, generator)
    cover = (field - uniform(n, -0.5, 1.5, generator)).clamp(0, 1) * uniform(n, 0.1, 0.7, generator)
    return scene.rgb + cover * (0.95 - scene.rgb)


def haze(scene: Scene, generator: torch.Generator, deepest: float = 0.7) -> Tensor:
    """Add haze of a random optical depth up to `deepest`, bluish to white, denser along oblique rays.

    Haze of depth τ hides a share 1 − exp(−τ / μ) of the ground, with μ the cosine of the slant, at least 0.1.
    """
    n, device = len(scene), scene.rgb.device
    depth = deepest * uniform(n, 0.05, 1.0, generator)
    veil = 1 - torch.exp(-depth / scene.ground.slant.unsqueeze(1).clamp_min(0.1))
    unit = torch.rand(n, 3, 1, 1, generator=generator, device=device)
    base = torch.tensor([0.25, 0.4, 0.55], device=device).view(1, 3, 1, 1)
    span = torch.tensor([0.6, 0.5, 0.4], device=device).view(1, 3, 1, 1)
    return torch.lerp(scene.rgb, (base + span * unit).expand_as(scene.rgb), veil)


def glint(scene: Scene, generator: torch.Generator) -> Tensor:
    """Add the sun's reflection to the water of the views: a bright spot at a random place."""
    n, size_px = len(scene), scene.rgb.shape[-1]
    ticks = torch.linspace(0, 1, size_px, device=scene.rgb.device)
    x = (ticks.view(1, 1, 1, -1) - uniform(n, -0.1, 1.1, generator)) / uniform(n, 0.08, 0.4, generator)
    y = (ticks.view(1, 1, -1, 1) - uniform(n, -0.1, 1.1, generator)) / uniform(n, 0.08, 0.4, generator)
    light = torch.exp(-(x * x + y * y)) * uniform(n, 0.3, 1.0, generator)
    return torch.lerp(scene.rgb, torch.full_like(scene.rgb, 0.95), light * scene.water)


def shade(scene: Scene, generator: torch.Generator) -> Tensor:
    """Darken the views along a random direction, down to about a third, as a low sun does."""
    n, size_px = len(scene), scene.rgb.shape[-1]
    ticks = torch.linspace(-1, 1, size_px, device=scene.rgb.device)
    angle = uniform(n, 0.0, 2 * math.pi, generator)
    ramp = 0.5 + 0.35 * (ticks.view(1, 1, 1, -1) * angle.cos() + ticks.view(1, 1, -1, 1) * angle.sin())
    return scene.rgb * (1 - uniform(n, 0.0, 0.67, generator) * ramp)


def space(scene: Scene, generator: torch.Generator) -> Tensor:
    """Paint space around the Earth black, with a bluish glow along the limb."""
    n, device = len(scene), scene.rgb.device
    height = scene.ground.height.unsqueeze(1)
    color = torch.tensor([0.45, 0.65, 0.95], device=device).view(1, 3, 1, 1)
    glow = color * torch.exp(-height / GLOW_RADII) * uniform(n, 0.0, 0.9, generator)
    return torch.where(height > 0, glow, scene.rgb)
