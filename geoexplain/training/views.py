"""Views of Earth from above, sampled on the fly from whole-earth imagery, on whatever device the imagery is put."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.geography.sphere import EARTH_RADIUS_KM

LAND_MASK = Path(__file__).parents[2] / "assets" / "world" / "land-mask.png"
MAX_LEVELS = 5
"""An image and at most four halvings of it: 2,700 rows down to 169."""

LARGEST_FOOTPRINT_KM = 20_000.0
"""Half of the Earth's circumference; beyond it a view's corners would meet behind its horizon."""


@dataclass(frozen=True, eq=False)
class Imagery:
    """Equirectangular images of one size with their halvings, packed for one gather.

    texels   uint8 (P, 4): red, green, blue, water (0 land … 255 open water) of every pixel of every image and level
    offsets  int64 (levels,): where a level starts; inside, images follow one another, then rows from north to south
    heights  int64 (levels,): rows of one image of a level; it is twice as wide
    names    file names, in the order in which `source` counts them
    """

    texels: Tensor
    offsets: Tensor
    heights: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def device(self) -> torch.device:
        """Where the texels lie, and where views of them are rendered."""
        return self.texels.device


def imagery_files(folder: Path) -> list[Path]:
    """The JPEG, PNG and TIFF files of a folder by name; raises DataError when there is none."""
    files = sorted(p for p in folder.glob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png", ".tif", ".tiff"})
    if not files:
        raise DataError(
            f"--imagery {folder}: expected equirectangular JPEG, PNG or TIFF images, found none: name another folder."
        )
    return files


def load_imagery(files: Sequence[Path], device: str | torch.device = "cpu", height: int = 2700) -> Imagery:
    """Read whole-earth images (twice as wide as high, north up, 180° W at the left edge) into one Imagery.

    All become as high as the highest of them, but at most `height` rows. Raises DataError for no files, and for a
    file that cannot be read or is not equirectangular.
    """
    if not files:
        raise DataError("expected at least one equirectangular image, got none: name a folder that holds some.")
    height = min(height, max(_equirectangular_height(file) for file in files))
    pixels = []
    for file in files:
        try:
            with Image.open(file) as image:
                rgb = image.convert("RGB")
        except (OSError, Image.DecompressionBombError) as error:
            raise DataError(f"{file.name}: expected a readable image, got: {error}.") from error
        if rgb.height != height:
            rgb = rgb.resize((2 * height, height), Image.Resampling.LANCZOS)
        pixels.append(torch.from_numpy(np.asarray(rgb).copy()))
    water = _water_mask(pixels)
    images = torch.stack([torch.cat([rgb, water], dim=-1) for rgb in pixels]).to(device)  # (M, H, W, 4)
    levels = [images]
    while len(levels) < MAX_LEVELS and levels[-1].shape[1] % 2 == 0:
        levels.append(_halve(levels[-1]))
    texels = torch.cat([level.reshape(-1, 4) for level in levels])
    counts = torch.tensor([0] + [level.shape[0] * level.shape[1] * level.shape[2] for level in levels[:-1]])
    heights = torch.tensor([level.shape[1] for level in levels])
    return Imagery(texels, counts.cumsum(0).to(device), heights.to(device), tuple(file.name for file in files))


def _equirectangular_height(file: Path) -> int:
    try:
        with Image.open(file) as image:
            width, height = image.size
    except (OSError, Image.DecompressionBombError) as error:
        raise DataError(f"{file.name}: expected a readable image, got: {error}.") from error
    if width != 2 * height:
        raise DataError(f"{file.name}: expected an equirectangular image, twice as wide as high, got {width}×{height}.")
    return int(height)


def _halve(images: Tensor) -> Tensor:
    m, h, w, c = images.shape
    blocks = images.view(m, h // 2, 2, w // 2, 2, c)
    total = blocks[:, :, 0, :, 0].to(torch.int16)
    for i, j in ((0, 1), (1, 0), (1, 1)):
        total += blocks[:, :, i, :, j]
    return ((total + 2) // 4).to(torch.uint8)


def _water_mask(pixels: Sequence[Tensor]) -> Tensor:
    """uint8 (H, W, 1), 255 where every image with a flat sea shows the sea's colour: one colour over a fifth of it.

    Blue Marble's months paint all water in one near-black blue. A rendering with a sea floor has no such colour and
    is left out; if all are like that the mask is empty and nothing is recoloured.
    """
    water = None
    for rgb in pixels:
        coarse = rgb[::8, ::8].reshape(-1, 3).int()
        codes, counts = torch.unique((coarse[:, 0] << 16) + (coarse[:, 1] << 8) + coarse[:, 2], return_counts=True)
        if counts.max() < 0.2 * len(coarse):
            continue
        code = int(codes[counts.argmax()])
        sea = torch.tensor([code >> 16, (code >> 8) & 255, code & 255], dtype=torch.int16)
        here = (rgb.to(torch.int16) - sea).abs().amax(dim=-1, keepdim=True) <= 12
        water = here if water is None else water & here
    if water is None:
        return torch.zeros(*pixels[0].shape[:2], 1, dtype=torch.uint8)
    return water.to(torch.uint8) * 255


def sample_centers(count: int, generator: torch.Generator, near_km: float = 60.0) -> np.ndarray:
    """`count` centres (count, 2) in degrees, uniform in area over land and water within `near_km` of land.

    Land is Natural Earth's 1:50m land, rasterised at a quarter of a degree; water is near when one of the points
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
    """Bool (720, 1440), rows from north to south, 180° W at the left edge."""
    with Image.open(LAND_MASK) as image:
        return np.asarray(image.convert("1"))


@dataclass(frozen=True, eq=False)
class ViewPoints:
    """What N views look at.

    centers_deg   float64 (N, 2), latitude and longitude in degrees
    footprint_km  float32 (N,), side of the square that is seen
    rotation_deg  float32 (N,), bearing of the picture's upper edge: 0 is north up, 90 is east up
    source        int64 (N,), which image of the imagery is seen
    """

    centers_deg: Tensor
    footprint_km: Tensor
    rotation_deg: Tensor
    source: Tensor

    def __getitem__(self, some: slice) -> "ViewPoints":
        """Some of the views, in order."""
        return ViewPoints(self.centers_deg[some], self.footprint_km[some], self.rotation_deg[some], self.source[some])


def sample_view_points(
    count: int,
    sources: int,
    generator: torch.Generator,
    *,
    footprint_km: tuple[float, float] = (400.0, 2500.0),
    rotation_deg: float = 30.0,
) -> ViewPoints:
    """`count` random views of any of `sources` images, centred on or near land.

    Footprints are log-uniform in `footprint_km`, rotations uniform in ±`rotation_deg`. Raises DataError for
    footprints that are not 0 < low ≤ high ≤ LARGEST_FOOTPRINT_KM.
    """
    if not 0 < footprint_km[0] <= footprint_km[1] <= LARGEST_FOOTPRINT_KM:
        raise DataError(
            f"expected footprints from low to high within 0 and {LARGEST_FOOTPRINT_KM:.0f} km, got {footprint_km}."
        )
    centers = torch.from_numpy(sample_centers(count, generator))
    shrink, turn = torch.rand(2, count, generator=generator)
    low, high = (math.log(x) for x in footprint_km)
    source = torch.randint(sources, (count,), generator=generator)
    return ViewPoints(centers, (low + (high - low) * shrink).exp(), rotation_deg * (2 * turn - 1), source)


def render(imagery: Imagery, points: ViewPoints, size_px: int) -> Tensor:
    """Views as float32 (N, 4, size_px, size_px) in [0, 1] on the imagery's device: red, green, blue, water.

    Azimuthal equidistant projection around each centre (Snyder 1987, p. 195), the upper edge at bearing
    `rotation_deg`; bilinear within the level whose pixels are nearest in size to the view's.
    """
    device = imagery.device
    lat_0, lon_0 = torch.deg2rad(points.centers_deg.to(device)).float().unbind(-1)
    footprint, rotation = points.footprint_km.to(device).float(), torch.deg2rad(points.rotation_deg.to(device)).float()
    ticks = (torch.arange(size_px, device=device) + 0.5) / size_px - 0.5
    south, east = torch.meshgrid(ticks, ticks, indexing="ij")
    shape = (-1, 1, 1)
    cos_r, sin_r = rotation.cos().view(shape), rotation.sin().view(shape)
    x = (east * cos_r - south * sin_r) * (footprint / EARTH_RADIUS_KM).view(shape)  # (N, S, S), radians east
    y = -(east * sin_r + south * cos_r) * (footprint / EARTH_RADIUS_KM).view(shape)
    distance = torch.hypot(x, y).clamp_min(1e-9)
    sine, cosine = distance.sin() / distance, distance.cos()
    sin_0, cos_0 = lat_0.sin().view(shape), lat_0.cos().view(shape)
    lat = torch.asin((cosine * sin_0 + y * sine * cos_0).clamp(-1, 1))
    lon = lon_0.view(shape) + torch.atan2(x * sine, cos_0 * cosine - y * sine * sin_0)

    top = imagery.heights[0].item()
    scale = (footprint / size_px) / (math.pi * EARTH_RADIUS_KM / top)
    level = scale.clamp_min(1e-6).log2().round().long().clamp(0, len(imagery.heights) - 1)
    height = imagery.heights[level].view(shape)
    start = (imagery.offsets[level] + points.source.to(device) * (2 * imagery.heights[level] ** 2)).view(shape)
    row = ((0.5 - lat / math.pi) * height - 0.5).clamp_min(0)
    column = (lon / (2 * math.pi) + 0.5) * (2 * height) - 0.5
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
