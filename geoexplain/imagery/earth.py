"""Whole-earth imagery: equirectangular images and their image pyramids, packed so that one gather renders any view."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from geoexplain.errors import DataError

MAX_LEVELS = 5
"""Maximum number of levels of a pyramid: the image and four halvings, such as 2,700 rows down to 169."""


@dataclass(frozen=True, eq=False)
class Imagery:
    """Equirectangular images of one size with their pyramids, packed for one gather.

    texels   uint8 (P, C), all pixels of all levels and images. For images of the Earth, C is 4: red, green, blue, water
             (0 land … 255 open water); for clouds and borders C is 1
    offsets  int64 (levels,): first texel of a level, which holds image after image, each with rows from north to south
    heights  int64 (levels,): rows of an image at a level; it is twice as wide
    names    file names, indexed by `source`
    """

    texels: Tensor
    offsets: Tensor
    heights: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def device(self) -> torch.device:
        """The device of the texels, on which views are rendered."""
        return self.texels.device


def imagery_files(folder: Path) -> list[Path]:
    """Return the JPEG, PNG and TIFF files of a folder, sorted by name; raise DataError if there is none."""
    files = sorted(p for p in folder.glob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png", ".tif", ".tiff"})
    if not files:
        raise DataError(
            f"--imagery {folder}: expected equirectangular JPEG, PNG or TIFF images, found none: name another folder."
        )
    return files


def load_imagery(files: Sequence[Path], device: str | torch.device = "cpu", height: int = 2700) -> Imagery:
    """Read whole-earth images (twice as wide as high, north up, 180° W at the left edge) into one Imagery.

    All are resized to the largest height among them, at most `height` rows. Raises DataError for an empty list, and for
    a file that cannot be read or is not equirectangular.
    """
    height = _common_height(files, height)
    pixels = [_read(file, height) for file in files]
    water = _water_mask(pixels)
    images = torch.stack([torch.cat([rgb, water], dim=-1) for rgb in pixels]).to(device)  # (M, H, W, 4)
    return pack(images, tuple(file.name for file in files))


def load_clouds(files: Sequence[Path], device: str | torch.device = "cpu", height: int = 2048) -> Imagery:
    """Read whole-earth maps of clouds, white on black, like `load_imagery`, into one Imagery of one channel."""
    height = _common_height(files, height)
    grey = [_read(file, height).float().mean(dim=-1, keepdim=True).round().to(torch.uint8) for file in files]
    return pack(torch.stack(grey).to(device), tuple(file.name for file in files))


def _common_height(files: Sequence[Path], height: int) -> int:
    if not files:
        raise DataError("expected at least one equirectangular image, got none: name a folder that holds some.")
    return min(height, max(_equirectangular_height(file) for file in files))


def _read(file: Path, height: int) -> Tensor:
    """uint8 (height, 2 height, 3)."""
    try:
        with Image.open(file) as image:
            if image.mode == "F":
                raise DataError(f"{file.name}: expected 8 or 16 bits per value, got floating point: convert the image.")
            deep = image.mode.startswith("I")  # 16 bits, which Pillow would clip
            grey = Image.fromarray((np.asarray(image) // 257).clip(0, 255).astype(np.uint8)) if deep else image
            rgb = grey.convert("RGB")
    except (OSError, Image.DecompressionBombError) as error:
        raise DataError(f"{file.name}: expected a readable image, got '{error}': check the file.") from error
    if rgb.height != height:
        rgb = rgb.resize((2 * height, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(rgb).copy())


def pack(images: Tensor, names: tuple[str, ...]) -> Imagery:
    """Build the pyramids of images uint8 (M, H, 2 H, C), and pack them into an Imagery."""
    levels = [images]
    while len(levels) < MAX_LEVELS and levels[-1].shape[1] % 2 == 0:
        levels.append(_halve(levels[-1]))
    texels = torch.cat([level.reshape(-1, images.shape[-1]) for level in levels])
    counts = torch.tensor([0] + [level.shape[0] * level.shape[1] * level.shape[2] for level in levels[:-1]])
    heights = torch.tensor([level.shape[1] for level in levels])
    return Imagery(texels, counts.cumsum(0).to(images.device), heights.to(images.device), names)


def _equirectangular_height(file: Path) -> int:
    try:
        with Image.open(file) as image:
            width, height = image.size
    except (OSError, Image.DecompressionBombError) as error:
        raise DataError(f"{file.name}: expected a readable image, got '{error}': check the file.") from error
    if width != 2 * height:
        raise DataError(
            f"{file.name}: expected an equirectangular image, twice as wide as high, got {width}×{height}: choose "
            "another image."
        )
    return int(height)


def _halve(images: Tensor) -> Tensor:
    m, h, w, c = images.shape
    blocks = images.view(m, h // 2, 2, w // 2, 2, c)
    total = blocks[:, :, 0, :, 0].to(torch.int16)
    for i, j in ((0, 1), (1, 0), (1, 1)):
        total += blocks[:, :, i, :, j]
    return ((total + 2) // 4).to(torch.uint8)


def _water_mask(pixels: Sequence[Tensor]) -> Tensor:
    """Return the water mask, uint8 (H, W, 1): 255 where every image with a uniform sea shows the colour of its sea.

    A colour is that of a uniform sea if it covers at least a fifth of the image. Blue Marble's monthly images paint all
    water in one near-black blue. Renderings with a sea floor have no such colour and are not used; if there are only
    such renderings, the mask is empty and no sea is recoloured.
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
