"""Scenes: colours, water and ground positions of a batch of views, before effects are applied."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from geoexplain.imagery.camera import Ground
from geoexplain.imagery.earth import Imagery
from geoexplain.imagery.mixture import MixedPoints
from geoexplain.imagery.views import ViewPoints, ground_seen, level_of, texels_at

Sampler = Callable[[Imagery, Tensor, Ground, Tensor], Tensor]
"""`texels_at`, or an equivalent such as its compiled form."""


@dataclass(frozen=True, eq=False)
class Scene:
    """N views of S × S pixels.

    rgb           (N, 3, S, S), in [0, 1]
    water         (N, 1, S, S), from 0 (land) to 1 (open water); 0 everywhere if the imagery has no water mask
    ground        ground positions of the pixels
    footprint_km  (N,), widths of the views
    """

    rgb: Tensor
    water: Tensor
    ground: Ground
    footprint_km: Tensor

    def __len__(self) -> int:
        return len(self.rgb)

    def __getitem__(self, rows: Tensor) -> "Scene":
        """Return the selected views, in order."""
        return Scene(self.rgb[rows], self.water[rows], self.ground[rows], self.footprint_km[rows])

    def with_rgb(self, rgb: Tensor) -> "Scene":
        """Return the same scene with other colours."""
        return replace(self, rgb=rgb)


def plain_scene(imagery: Imagery, points: ViewPoints, size_px: int) -> Scene:
    """Render the scene of view points, each of one image of the imagery."""
    ground = ground_seen(points, size_px, imagery.device)
    width = points.footprint_km.to(imagery.device)
    texels = texels_at(imagery, points.source, ground, level_of(imagery, width, size_px))
    return Scene(texels[:, :3], texels[:, 3:], ground, width)


def mixed_scene(imagery: Imagery, points: MixedPoints, size_px: int, sample: Sampler = texels_at) -> Scene:
    """Render the scene of sampled views of a mixture, equidistant and oblique, blended and softened.

    `sample` may be a compiled `texels_at`, which takes half the time on a CPU.
    """
    device = imagery.device
    count = len(points.second)
    empty = torch.zeros(count, size_px, size_px, device=device)
    ground = Ground(empty, empty, empty, empty)
    width, source = torch.zeros(count, device=device), torch.zeros(count, dtype=torch.int64, device=device)
    for rows, some in (points.plain, points.oblique):
        if len(rows):
            there = rows.to(device)
            ground = ground.scatter(there, ground_seen(some, size_px, device))
            width[there], source[there] = some.footprint_km.to(device), some.source.to(device)
    level = (level_of(imagery, width, size_px) + points.softer.to(device)).clamp_max(len(imagery.heights) - 1)
    texels = sample(imagery, source, ground, level)
    mixed = torch.nonzero(points.share > 0).flatten().to(device)
    if len(mixed):
        other = sample(imagery, points.second.to(device)[mixed], ground[mixed], level[mixed])
        share = points.share.to(device)[mixed].view(-1, 1, 1, 1)
        texels[mixed, :3] = torch.lerp(texels[mixed, :3], other[:, :3], share)
    return Scene(texels[:, :3], texels[:, 3:], ground, width)
