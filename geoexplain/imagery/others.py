"""Pictures that are not views of Earth from above, generated or from a folder, to train the gate on."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from geoexplain.errors import DataError, ImageError
from geoexplain.imagery.draws import chance, uniform
from geoexplain.imagery.markings import Markings, name_ink
from geoexplain.images import open_image

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif")

KEPT_PX = 160
"""Length of the shorter side of loaded pictures."""

WIDEST = 2.0
"""Maximum ratio of the longer to the shorter side; longer pictures are cropped around their centre."""


def other_files(folder: Path) -> list[Path]:
    """Return the pictures in a folder and its subfolders, sorted by path; raise DataError if there is none."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise DataError(
            f"{folder}: expected pictures that are no views of Earth from above, found none: name another folder."
        )
    return files


def load_others(files: Sequence[Path]) -> list[Tensor]:
    """Read pictures as uint8 (3, H, W) with a shorter side of KEPT_PX; files that cannot be read are left out.

    Raises DataError if none of the files can be read.
    """
    pictures = []
    for file in files:
        try:
            image = open_image(file, shorter_px=KEPT_PX)
        except ImageError:
            continue
        width, height = image.size
        side = min(width, height)
        box_width, box_height = min(width, WIDEST * side), min(height, WIDEST * side)
        left, top = (width - box_width) / 2, (height - box_height) / 2
        size = (round(box_width * KEPT_PX / side), round(box_height * KEPT_PX / side))
        small = image.resize(size, box=(left, top, left + box_width, top + box_height), reducing_gap=3.0)
        pictures.append(torch.from_numpy(np.asarray(small).transpose(2, 0, 1).copy()))
    if files and not pictures:
        raise DataError(f"expected pictures, could read none of {len(files)} files: name another folder.")
    return pictures


def sample_others(
    count: int, size_px: int, pictures: Sequence[Tensor], markings: Markings, generator: torch.Generator
) -> Tensor:
    """Sample RGB (count, 3, size_px, size_px) in [0, 1]: about 60 % pieces of `pictures`, the others generated.

    Without pictures all are generated. `generator` is on the CPU.
    """
    of_files = int((torch.rand(count, generator=generator) < 0.6).sum()) if pictures else 0
    parts = [_piece(pictures, size_px, generator) for _ in range(of_files)]
    kinds = torch.randint(len(GENERATED), (count - of_files,), generator=generator)
    for kind, make in enumerate(GENERATED.values()):
        if some := int((kinds == kind).sum()):
            parts.append(make(some, size_px, markings, generator))
    return torch.cat(parts) if parts else torch.empty(0, 3, size_px, size_px)


def _piece(pictures: Sequence[Tensor], size_px: int, generator: torch.Generator) -> Tensor:
    which, share, top, left, flip = torch.rand(5, generator=generator).tolist()
    picture = pictures[int(which * len(pictures))]
    _, height, width = picture.shape
    px = int(min(height, width) * (0.4 + 0.6 * share))
    row, column = int(top * (height - px)), int(left * (width - px))
    piece = picture[None, :, row : row + px, column : column + px].float() / 255
    piece = F.interpolate(piece, size=(size_px, size_px), mode="bilinear", antialias=True)
    return piece.flip(3) if flip < 0.5 else piece


def _colors(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, 3, 1, 1, generator=generator)


def _flat(count: int, size_px: int, _: Markings, generator: torch.Generator) -> Tensor:
    return _colors(count, generator).expand(-1, -1, size_px, size_px).clone()


def _gradient(count: int, size_px: int, _: Markings, generator: torch.Generator) -> Tensor:
    x, y = _plane(size_px)
    angle = uniform(count, 0, math.tau, generator)
    straight = (x * angle.cos() + y * angle.sin() + 1) / 2
    round_ = torch.hypot(x - uniform(count, -1, 1, generator), y - uniform(count, -1, 1, generator))
    share = torch.lerp(straight, round_, chance(count, 0.4, generator)).clamp(0, 1)
    return torch.lerp(_colors(count, generator), _colors(count, generator), share)


def _field(count: int, size_px: int, channels: int, generator: torch.Generator) -> Tensor:
    """Draw random fields of about unit variance, from a few large blots to grains of one pixel."""
    exponent = uniform(count, 0.3, 2.5, generator)
    total, norm = torch.zeros(count, channels, size_px, size_px), torch.zeros(count, 1, 1, 1)
    cells = 2
    while cells <= size_px:
        drawn = torch.randn(count, channels, cells, cells, generator=generator)
        weight = torch.tensor(float(cells)).pow(-exponent)
        total += weight * F.interpolate(drawn, size=(size_px, size_px), mode="bicubic", align_corners=True)
        norm += weight * weight
        cells *= 2
    return total / norm.sqrt()


def _smooth(count: int, size_px: int, _: Markings, generator: torch.Generator) -> Tensor:
    color = _field(count, size_px, 3, generator)
    same = chance(count, 0.4, generator)  # one field in all channels
    field = torch.lerp(color, color[:, :1].expand_as(color), same)
    return (_colors(count, generator) + uniform(count, 0.05, 0.35, generator) * field).clamp(0, 1)


def _islands(count: int, size_px: int, _: Markings, generator: torch.Generator) -> Tensor:
    """Draw invented land and sea with some relief."""
    height = _field(count, size_px, 1, generator)
    land = ((height - uniform(count, -0.6, 0.6, generator)) * uniform(count, 4, 40, generator)).sigmoid()
    relief = uniform(count, 0, 0.15, generator) * _field(count, size_px, 1, generator)
    return (torch.lerp(_colors(count, generator), _colors(count, generator), land) + relief).clamp(0, 1)


def _grain(count: int, size_px: int, _: Markings, generator: torch.Generator) -> Tensor:
    color = torch.randn(count, 3, size_px, size_px, generator=generator)
    grain = torch.lerp(color, color[:, :1].expand_as(color), chance(count, 0.5, generator))
    return (_colors(count, generator) + uniform(count, 0.05, 0.6, generator) * grain).clamp(0, 1)


def _stripes(count: int, size_px: int, _: Markings, generator: torch.Generator) -> Tensor:
    x, y = _plane(size_px)
    angle, waves = uniform(count, 0, math.pi, generator), uniform(count, 2, 40, generator)
    along = (waves * (x * angle.cos() + y * angle.sin())).sin()
    across = (waves * (y * angle.cos() - x * angle.sin())).sin()
    wave = along * torch.lerp(torch.ones_like(across), across, chance(count, 0.5, generator))
    share = (wave * uniform(count, 0.5, 8, generator)).sigmoid()
    return torch.lerp(_colors(count, generator), _colors(count, generator), share)


def _page(count: int, size_px: int, markings: Markings, generator: torch.Generator) -> Tensor:
    paper = 1 - uniform(count, 0, 0.25, generator) * _colors(count, generator)
    ink = torch.maximum(name_ink(count, size_px, markings, generator), name_ink(count, size_px, markings, generator))
    dark = chance(count, 0.25, generator)  # light text on a dark page, as on screens
    page = torch.lerp(paper, (0.4 * _colors(count, generator)).expand(-1, -1, size_px, size_px), ink)
    return torch.lerp(page, 1 - page, dark)


def _shapes(count: int, size_px: int, markings: Markings, generator: torch.Generator) -> Tensor:
    """Draw overlapping boxes and ellipses of plain colours, as in windows, signs and drawings."""
    x, y = _plane(size_px)
    rgb = _flat(count, size_px, markings, generator)
    for _ in range(9):
        u = (x - uniform(count, -1, 1, generator)).abs() / uniform(count, 0.03, 0.8, generator)
        v = (y - uniform(count, -1, 1, generator)).abs() / uniform(count, 0.03, 0.8, generator)
        inside = torch.where(chance(count, 0.5, generator) > 0, torch.maximum(u, v) < 1, torch.hypot(u, v) < 1)
        rgb = torch.where(inside, _colors(count, generator), rgb)
    return rgb


def _plane(size_px: int) -> tuple[Tensor, Tensor]:
    ticks = torch.linspace(-1, 1, size_px)
    return ticks.view(1, 1, 1, -1), ticks.view(1, 1, -1, 1)


GENERATED: dict[str, Callable[[int, int, Markings, torch.Generator], Tensor]] = {
    "flat": _flat,
    "gradient": _gradient,
    "smooth noise": _smooth,
    "islands": _islands,
    "grain": _grain,
    "stripes": _stripes,
    "page": _page,
    "shapes": _shapes,
}
"""Kinds of generated pictures: (count, size_px, markings, generator on the CPU) → RGB (count, 3, S, S) in [0, 1]."""
