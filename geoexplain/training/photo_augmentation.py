"""Make the square input of a network from a photo: augmented for training, or unchanged for validation."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance

from geoexplain.errors import DataError
from geoexplain.images import Preprocess

_TRIES = 10
_COLOURS = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a photo each time it is used; the defaults are those of the code of Theiner et al. 2022.

    area        smallest and largest share of the photo in the crop, in (0, 1]
    aspect      smallest and largest width : height of the crop, before it is resized to a square
    flip        probability of a horizontal flip, which mirrors writing and the side that traffic keeps to
    brightness, contrast, saturation
                x in [0, 1]: multiplied by a random factor from 1 − x to 1 + x; 0: unchanged

    Raises DataError if a value is out of its range.
    """

    area: tuple[float, float] = (0.66, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0

    def __post_init__(self) -> None:
        chances = (self.flip, self.brightness, self.contrast, self.saturation)
        if not (0 < self.area[0] <= self.area[1] <= 1 and 0 < self.aspect[0] <= self.aspect[1] < math.inf) or not all(
            0 <= chance <= 1 for chance in chances
        ):
            raise DataError(
                f"augmentation: expected areas in (0, 1], aspects above 0, both ascending, and the rest in [0, 1], "
                f"got {self}: correct it."
            )

    def shorter_px(self, size_px: int) -> int:
        """Return the shorter side in px that a photo needs, so that no crop is smaller than `size_px`."""
        narrowest = min(self.aspect[0], 1 / self.aspect[1], 1.0)
        return math.ceil(size_px / math.sqrt(self.area[0] * narrowest))


def training_view(image: Image.Image, size_px: int, augmentation: Augmentation, seed: tuple[int, ...]) -> Image.Image:
    """Crop and augment a photo (RGB); return RGB of size_px × size_px.

    The crop is that of Inception (Szegedy et al. 2015): area uniform, aspect log-uniform, ten attempts, then the
    largest central crop that the aspects allow. All random numbers derive from `seed`, numbers ≥ 0, and are the same on
    every machine and with every NumPy version.
    """
    chance = _uniforms(seed, 4 * _TRIES + 4)
    view = image.resize(
        (size_px, size_px),
        Image.Resampling.BILINEAR,
        box=_cut_out(image.size, augmentation, chance[4:].reshape(-1, 4)),
    )
    if chance[0] < augmentation.flip:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    amounts = (augmentation.brightness, augmentation.contrast, augmentation.saturation)
    for colour, amount, drawn in zip(_COLOURS, amounts, chance[1:4].tolist(), strict=True):
        if amount:
            view = colour(view).enhance(1 + amount * (2 * drawn - 1))
    return view


def evaluation_view(image: Image.Image, size_px: int) -> Image.Image:
    """Return the central square of a photo (RGB), resized as in inference: RGB of size_px × size_px.

    Inference keeps the whole longer side. Here photos share a batch, and therefore need one shape.
    """
    view = Preprocess(size_px).view(image)
    left, top = (view.width - size_px) // 2, (view.height - size_px) // 2
    return view.crop((left, top, left + size_px, top + size_px))


def _uniforms(seed: tuple[int, ...], count: int) -> np.ndarray:
    # NumPy guarantees that the raw numbers of a bit generator never change, but not those of its distributions.
    raw = np.random.Philox(np.random.SeedSequence(seed)).random_raw(count)
    return (raw >> np.uint64(11)) * 2.0**-53


def _cut_out(
    size: tuple[int, int], augmentation: Augmentation, chance: np.ndarray
) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the crop in px of the image, not rounded."""
    width, height = size
    least, greatest = augmentation.area
    narrowest, widest = augmentation.aspect
    for drawn_area, drawn_aspect, x, y in chance.tolist():
        area = width * height * (least + (greatest - least) * drawn_area)
        aspect = narrowest * (widest / narrowest) ** drawn_aspect
        w, h = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if w <= width and h <= height:
            left, top = x * (width - w), y * (height - h)
            return left, top, min(left + w, width), min(top + h, height)
    aspect = min(max(width / height, narrowest), widest)
    w, h = min(width, height * aspect), min(height, width / aspect)
    return (width - w) / 2, (height - h) / 2, (width + w) / 2, (height + h) / 2
