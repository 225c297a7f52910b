"""Borders, graticules and names drawn over views, as on maps and annotated images."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from geoexplain.geography.gazetteer import load_gazetteer
from geoexplain.geography.sphere import EARTH_RADIUS_KM
from geoexplain.imagery.earth import Imagery, pack
from geoexplain.imagery.scene import Scene
from geoexplain.imagery.views import level_of, texels_at

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

SHEETS, SHEET_PX = 256, 192
FONT_PX = (6, 26)
"""Minimum and maximum size of the names on a sheet."""

SPACINGS_DEG = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0)
"""Distances between lines of latitude and longitude; each divides 360°."""


@dataclass(frozen=True, eq=False)
class Markings:
    """Prepared borders and names that are drawn over views.

    borders  borders and coasts of countries as an Imagery of one image and one channel, on the device of the views
    sheets   uint8 (M, P, P) on the CPU, names at random places; 255 is ink
    """

    borders: Imagery
    sheets: Tensor


def load_markings(device: str | torch.device = "cpu", height: int = 1350) -> Markings:
    """Rasterise borders of Natural Earth 1:50m on `height` rows, and sheets of names of cities and countries.

    The result is cached for the process, since it takes a few seconds; `device` is that of the views.
    """
    return Markings(pack(_borders(height).to(device), ("borders",)), _sheets())


def draw_borders(scene: Scene, markings: Markings, generator: torch.Generator) -> Tensor:
    """Draw borders and coasts of countries over the views, in one random colour each; return RGB (N, 3, S, S)."""
    level = level_of(markings.borders, scene.footprint_km, scene.rgb.shape[-1])
    source = torch.zeros_like(level)
    # A line is two texels wide; the factor keeps it visible where a pixel is larger than that.
    ink = (2.5 * texels_at(markings.borders, source, scene.ground, level)).clamp(0, 1)
    return _with_ink(scene.rgb, ink, generator)


def draw_graticule(scene: Scene, generator: torch.Generator) -> Tensor:
    """Draw lines of latitude and longitude at SPACINGS_DEG over the views, about a pixel wide."""
    n, size_px = len(scene), scene.rgb.shape[-1]
    width_deg = torch.rad2deg(scene.footprint_km / EARTH_RADIUS_KM)
    lines = 1.5 + 6 * torch.rand(n, generator=generator, device=width_deg.device)
    spacings = torch.tensor(SPACINGS_DEG, device=width_deg.device)
    nearest = ((width_deg / lines)[:, None] / spacings).log().abs().argmin(dim=1)
    spacing = spacings[nearest].view(-1, 1, 1)
    pixel = (width_deg / size_px).view(-1, 1, 1)
    lat, lon = torch.rad2deg(scene.ground.lat), torch.rad2deg(scene.ground.lon)
    off_lat = (lat / spacing - (lat / spacing).round()).abs() * spacing / pixel
    off_lon = (lon / spacing - (lon / spacing).round()).abs() * spacing * torch.cos(scene.ground.lat) / pixel
    ink = (1.2 - torch.minimum(off_lat, off_lon)).clamp(0, 1)
    return _with_ink(scene.rgb, ink.unsqueeze(1), generator)


def write_names(scene: Scene, markings: Markings, generator: torch.Generator) -> Tensor:
    """Draw a piece of a random sheet of names over each view, in one random colour."""
    ink = name_ink(len(scene), scene.rgb.shape[-1], markings, generator)
    return _with_ink(scene.rgb, ink.to(scene.rgb.device), generator)


def name_ink(count: int, size_px: int, markings: Markings, generator: torch.Generator) -> Tensor:
    """Cut random pieces from random sheets of names: ink (count, 1, size_px, size_px) in [0, 1], on the CPU."""
    sheets, sheet_px = len(markings.sheets), markings.sheets.shape[-1]
    pieces = []
    for _ in range(count):
        sheet, top, left, side = torch.rand(4, generator=generator, device=generator.device).tolist()
        px = int(sheet_px * (0.35 + 0.6 * side))
        row, column = int(top * (sheet_px - px)), int(left * (sheet_px - px))
        piece = markings.sheets[int(sheet * sheets), row : row + px, column : column + px].float() / 255
        pieces.append(F.interpolate(piece[None, None], size=(size_px, size_px), mode="bilinear", antialias=True))
    return torch.cat(pieces).clamp(0, 1)


def _with_ink(rgb: Tensor, ink: Tensor, generator: torch.Generator) -> Tensor:
    n = len(rgb)
    color = torch.rand(n, 3, 1, 1, generator=generator, device=rgb.device)
    plain = torch.rand(n, 1, 1, 1, generator=generator, device=rgb.device) < 0.6  # these are black or white
    color = torch.where(plain, color.mean(dim=1, keepdim=True).round(), color)
    strength = 0.4 + 0.6 * torch.rand(n, 1, 1, 1, generator=generator, device=rgb.device)
    return torch.lerp(rgb, color.expand_as(rgb), strength * ink)


@lru_cache(maxsize=1)
def _borders(height: int) -> Tensor:
    """Rasterise the borders: uint8 (1, height, 2 height, 1), 255 on the lines."""
    canvas = Image.new("L", (2 * height, height))
    draw = ImageDraw.Draw(canvas)
    for shape in load_gazetteer().shapes.geometries:
        for part in shapely.get_parts(shape):
            points = shapely.get_coordinates(part.exterior)
            xy = np.stack([(points[:, 0] + 180) / 360 * 2 * height, (90 - points[:, 1]) / 180 * height], axis=1)
            for turn in (0, 2 * height):  # countries across the antimeridian continue beyond 180° E
                draw.line([(x - turn, y) for x, y in xy.tolist()], fill=255, width=2)
    return torch.from_numpy(np.asarray(canvas).copy()).view(1, height, 2 * height, 1)


@lru_cache(maxsize=1)
def _sheets() -> Tensor:
    """Draw the sheets of names: uint8 (SHEETS, SHEET_PX, SHEET_PX), the same in every process."""
    rng = np.random.default_rng(0)
    gazetteer = load_gazetteer()
    names = [name for name in (*gazetteer.cities, *gazetteer.countries) if name.isascii()]  # the font has no others
    # Loaded once for each size, since Pillow reads its font file on every call.
    fonts = {size: ImageFont.load_default(size=size) for size in range(FONT_PX[0], FONT_PX[1] + 1)}
    return torch.stack([torch.from_numpy(_sheet(names, fonts, rng)) for _ in range(SHEETS)])


def _sheet(names: Sequence[str], fonts: Mapping[int, Font], rng: np.random.Generator) -> np.ndarray:
    canvas = Image.new("L", (SHEET_PX, SHEET_PX))
    draw = ImageDraw.Draw(canvas)
    for _ in range(int(math.exp(rng.uniform(math.log(4), math.log(60))))):
        font = fonts[round(float(np.exp(rng.uniform(*np.log(FONT_PX)))))]
        text = names[int(rng.integers(len(names)))]
        if rng.random() < 0.2:
            text = f"{rng.uniform(-90, 90):.1f}°"
        place = (rng.uniform(-20, SHEET_PX - 10), rng.uniform(-5, SHEET_PX - 5))
        draw.text(place, text, fill=255, font=font)
        if rng.random() < 0.3:
            x, y = place
            draw.ellipse([x - 5, y, x - 2, y + 3], fill=255)
    return np.asarray(canvas).copy()
