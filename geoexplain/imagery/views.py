"""Views of Earth from above, sampled from whole-earth imagery and rendered on its device."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.geography.sphere import EARTH_RADIUS_KM
from geoexplain.imagery.camera import Camera, Ground, camera_ground, equidistant_ground
from geoexplain.imagery.earth import Imagery
from geoexplain.resources import ASSETS
from geoexplain.words import exact_km

LAND_MASK = ASSETS / "world" / "land-mask.png"

LARGEST_FOOTPRINT_KM = 20_000.0
"""Maximum width of a view, half of the Earth's circumference; corners of wider views would meet on the far side."""


def sample_centers(count: int, generator: torch.Generator, near_km: float = 60.0) -> np.ndarray:
    """Sample centres (count, 2) in degrees, uniform in area over land and over water within `near_km` of land.

    Land is Natural Earth's 1:50m land, rasterised at a quarter of a degree. Water is near land if one of the points
    `near_km` away in eight directions is land. Sampled on the CPU from `generator`.
    """
    land = _land_mask()
    steps = [(0.0, 0.0)] + [(near_km, bearing) for bearing in range(0, 360, 45)]
    kept: list[np.ndarray] = []
    total = 0
    while total < count:
        z, turn = torch.rand(2, 2 * count + 64, generator=generator, dtype=torch.float64).numpy()
        lat, lon = np.degrees(np.arcsin(2 * z - 1)), 360 * turn - 180
        near = np.zeros(len(lat), dtype=bool)
        for distance, bearing in steps:
            d_lat = np.degrees(distance / EARTH_RADIUS_KM) * math.cos(math.radians(bearing))
            d_lon = np.degrees(distance / EARTH_RADIUS_KM) * math.sin(math.radians(bearing))
            row = ((90 - np.clip(lat + d_lat, -89.9, 89.9)) * 4).astype(int)
            column = ((lon + d_lon / np.maximum(np.cos(np.radians(lat)), 0.05) + 180) * 4).astype(int) % 1440
            near |= land[row, column]
        kept.append(np.stack([lat[near], lon[near]], axis=-1))
        total += int(near.sum())
    return np.concatenate(kept)[:count]


@cache
def _land_mask() -> np.ndarray:
    """Read the land mask: bool (720, 1440), rows from north to south, 180° W at the left edge."""
    with Image.open(LAND_MASK) as image:
        return np.asarray(image.convert("1"))


@dataclass(frozen=True, eq=False)
class ViewPoints:
    """Centres, widths, rotations and images of N views.

    centers_deg   float64 (N, 2), latitude and longitude in degrees
    footprint_km  float32 (N,), side of the visible square
    rotation_deg  float32 (N,), bearing of the upper edge: 0 is north up, 90 is east up
    source        int64 (N,), index of the image in the imagery
    camera        the cameras of perspective views; None for equidistant views
    """

    centers_deg: Tensor
    footprint_km: Tensor
    rotation_deg: Tensor
    source: Tensor
    camera: Camera | None = None

    def __getitem__(self, some: slice | Tensor) -> "ViewPoints":
        """Return the selected views, in order."""
        camera = None if self.camera is None else self.camera[some]
        return ViewPoints(
            self.centers_deg[some], self.footprint_km[some], self.rotation_deg[some], self.source[some], camera
        )

    def __len__(self) -> int:
        return len(self.source)


def sample_view_points(
    count: int,
    sources: int,
    generator: torch.Generator,
    *,
    footprint_km: tuple[float, float] = (400.0, 2500.0),
    rotation_deg: float = 30.0,
) -> ViewPoints:
    """Sample `count` random views of any of `sources` images, centred on or near land.

    Footprints are log-uniform in `footprint_km`, rotations uniform in ±`rotation_deg`. Raises DataError unless
    0 < low ≤ high ≤ LARGEST_FOOTPRINT_KM for the footprints.
    """
    if not 0 < footprint_km[0] <= footprint_km[1] <= LARGEST_FOOTPRINT_KM:
        raise DataError(
            f"expected footprints from low to high within 0 and {exact_km(LARGEST_FOOTPRINT_KM)}, got {footprint_km}: "
            "correct these."
        )
    centers = torch.from_numpy(sample_centers(count, generator))
    shrink, turn = torch.rand(2, count, generator=generator)
    low, high = (math.log(x) for x in footprint_km)
    source = torch.randint(sources, (count,), generator=generator)
    return ViewPoints(centers, (low + (high - low) * shrink).exp(), rotation_deg * (2 * turn - 1), source)


def render(imagery: Imagery, points: ViewPoints, size_px: int) -> Tensor:
    """Render views as float32 (N, C, size_px, size_px) in [0, 1] on the imagery's device, with its C channels.

    Images of the Earth have the channels red, green, blue and water; clouds have one. Sampling is bilinear within the
    level whose pixel size is nearest to the view's. A pixel beside the Earth shows the ground nearest to its ray;
    `Ground.height` marks these pixels.
    """
    ground = ground_seen(points, size_px, imagery.device)
    return texels_at(imagery, points.source, ground, level_of(imagery, points.footprint_km, size_px))


def ground_seen(points: ViewPoints, size_px: int, device: torch.device) -> Ground:
    """Compute the ground positions of the pixels of N views."""
    lat_0, lon_0 = torch.deg2rad(points.centers_deg.to(device)).float().unbind(-1)
    footprint, rotation = points.footprint_km.to(device).float(), torch.deg2rad(points.rotation_deg.to(device)).float()
    if points.camera is None:
        return equidistant_ground(lat_0, lon_0, footprint, rotation, size_px=size_px)
    return camera_ground(lat_0, lon_0, footprint, rotation, camera=points.camera.to(device), size_px=size_px)


def level_of(imagery: Imagery, footprint_km: Tensor, size_px: int) -> Tensor:
    """Return the level (N,) of the imagery whose pixel size is nearest to that of views of a width `footprint_km`."""
    top = imagery.heights[0].item()
    scale = (footprint_km.to(imagery.device).float() / size_px) / (math.pi * EARTH_RADIUS_KM / top)
    return scale.clamp_min(1e-6).log2().round().long().clamp(0, len(imagery.heights) - 1)


def texels_at(imagery: Imagery, source: Tensor, ground: Ground, level: Tensor) -> Tensor:
    """Sample the imagery at the ground positions of N views: float32 (N, C, S, S) in [0, 1].

    Sampling is bilinear within the `level` (N,) of each view. `source` (N,) is the index of its image. `ground` and
    `level` are on the imagery's device.
    """
    shape = (-1, 1, 1)
    height = imagery.heights[level].view(shape)
    start = (imagery.offsets[level] + source.to(imagery.device) * (2 * imagery.heights[level] ** 2)).view(shape)
    row = ((0.5 - ground.lat / math.pi) * height - 0.5).clamp_min(0)
    column = (ground.lon / (2 * math.pi) + 0.5) * (2 * height) - 0.5
    row_0 = torch.minimum(row.floor().long(), height - 1)
    row_1 = torch.minimum(row_0 + 1, height - 1)
    column_0 = column.floor().long()
    fy = (row - row_0).clamp(0, 1).unsqueeze(-1)
    fx = (column - column_0).unsqueeze(-1)
    left, right = column_0 % (2 * height), (column_0 + 1) % (2 * height)

    def texel(r: Tensor, c: Tensor) -> Tensor:
        return imagery.texels[start + r * (2 * height) + c].float()

    north_side = torch.lerp(texel(row_0, left), texel(row_0, right), fx)
    south_side = torch.lerp(texel(row_1, left), texel(row_1, right), fx)
    return (torch.lerp(north_side, south_side, fy) / 255).permute(0, 3, 1, 2).contiguous()
