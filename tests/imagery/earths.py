"""Synthetic whole-earth images with known pixels."""

from pathlib import Path

import numpy as np
from PIL import Image


def grid_deg(height: int) -> np.ndarray:
    """Return the centres of the pixels of an equirectangular image (height, 2 height), in degrees (…, 2)."""
    lat = 90 - (np.arange(height) + 0.5) * 180 / height
    lon = (np.arange(2 * height) + 0.5) * 180 / height - 180
    return np.stack(np.meshgrid(lat, lon, indexing="ij"), axis=-1)


def write_png(folder: Path, pixels: np.ndarray, name: str = "earth.png") -> Path:
    Image.fromarray(pixels).save(folder / name)
    return folder / name
