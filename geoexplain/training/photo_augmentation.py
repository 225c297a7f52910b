"""A photo → the square that the network is trained on, or that it is judged on between."""

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
    """What is changed at random in a photo each time it is seen; by default as the code of Theiner et al. 2022 does.

    area        least and greatest share of the photo that is cut out, in (0, 1]
    aspect      least and greatest width : height of what is cut out, before it is made square
    flip        chance that left and right are swapped; it mirrors writing and the side that traffic keeps to
    brightness, contrast, saturation
                each multiplied by a factor from 1 − this to 1 + this, in [0, 1]; 0 leaves it

    Raises DataError when a value is out of its range.
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
        """How many pixels a photo's shorter side needs for no cut-out to be smaller than the view of `size_px`."""
        narrowest = min(self.aspect[0], 1 / self.aspect[1], 1.0)
        return math.ceil(size_px / math.sqrt(self.area[0] * narrowest))


def training_view(image: Image.Image, size_px: int, augmentation: Augmentation, seed: tuple[int, ...]) -> Image.Image:
    """Cut out and change a photo (RGB) as `augmentation` says → RGB of size_px × size_px.

    The cut-out is that of Inception (Szegedy et al. 2015): area uniform, aspect log-uniform, tried ten times, else the
    largest in the middle that the aspects allow. All chance comes from `seed`, numbers ≥ 0, and is the same on every
    machine and NumPy.
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
    """What the network is judged on: the photo (RGB) as at serving, its middle square → RGB of size_px × size_px.

    At serving the longer side is kept whole; here photos have to share a batch, so they have to share a shape.
    """
    view = Preprocess(size_px).view(image)
    left, top = (view.width - size_px) // 2, (view.height - size_px) // 2
    return view.crop((left, top, left + size_px, top + size_px))


def _uniforms(seed: tuple[int, ...], count: int) -> np.ndarray:
    # NumPy promises the raw numbers of a bit generator for all time, those of its distributions it does not.
    raw = np.random.Philox(np.random.SeedSequence(seed)).random_raw(count)
    return (raw >> np.uint64(11)) * 2.0**-53


def _cut_out(
    size: tuple[int, int], augmentation: Augmentation, chance: np.ndarray
) -> tuple[float, float, float, float]:
    """Left, top, right, bottom in px of the image, not rounded."""
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
