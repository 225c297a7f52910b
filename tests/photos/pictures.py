"""Small, distinct photos as JPEG bytes."""

import io

import numpy as np
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (60, 45)) -> Image.Image:
    """Return large patches of colour, in a different pattern for every seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def jpeg(seed: int, size: tuple[int, int] = (60, 45), quality: int = 90) -> bytes:
    return encoded(picture(seed, size), quality=quality)


def encoded(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()
