"""Draw heatmaps in colour over the image. Maps are normalised for display only here."""

import matplotlib as mpl
import numpy as np
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.explainer.cams import is_flat
from geoexplain.explainer.combine import upsample
from geoexplain.words import extremes

COLORMAPS: dict[str, str] = {
    "inferno": "Inferno",
    "magma": "Magma",
    "viridis": "Viridis",
    "cividis": "Cividis (for colour-blind eyes)",
    "turbo": "Turbo (not perceptually uniform)",
    "jet": "Jet (not perceptually uniform: shows edges that are not there)",
}
"""Available colormaps: matplotlib's name → title in menus. The first is the default."""

DEFAULT_COLORMAP = next(iter(COLORMAPS))


def normalise(values: np.ndarray) -> np.ndarray:
    """Scale a raw map (H, W) ≥ 0 to [0, 1] by its minimum and maximum, float32; zeros if it is flat.

    Raises DataError for a map that is not two-dimensional or holds NaN, infinity or negative values.
    """
    raw = _checked_map(values)
    if is_flat(raw):
        return np.zeros_like(raw)
    lowest = raw.min()
    return (raw - lowest) / (raw.max() - lowest)


def colormap_lut(name: str) -> np.ndarray:
    """Return a colormap, uint8 (256, 3) RGB from lowest to highest. Raises DataError for an unknown name."""
    if name not in COLORMAPS:
        raise DataError(f"expected a colormap out of {tuple(COLORMAPS)}, got {name!r}: choose one of these.")
    return np.ascontiguousarray(mpl.colormaps[name](np.arange(256), bytes=True)[:, :3])


def colorize(heatmap: np.ndarray, colormap: str = DEFAULT_COLORMAP) -> np.ndarray:
    """Color a raw heatmap (H, W): uint8 (H, W, 3) RGB. Raises DataError like normalise() and colormap_lut()."""
    # Halves are rounded up, as JavaScript's Math.round does, so that the browser picks the same colour.
    level = np.floor(normalise(heatmap) * 255 + 0.5).astype(np.uint8)
    return colormap_lut(colormap)[level]


def overlay(
    image: Image.Image, heatmap: np.ndarray, opacity: float = 0.5, colormap: str = DEFAULT_COLORMAP
) -> Image.Image:
    """Return the image in RGB, at its own size, with the heatmap's colours over it.

    heatmap   raw (H, W), any size; interpolated to the image's size
    opacity   0 (image alone) … 1 (colours alone)

    Raises DataError for an opacity out of range, and like colorize().
    """
    if not 0 <= opacity <= 1:
        raise DataError(f"expected an opacity from 0 to 1, got {opacity}: choose a value between.")
    at_image_size = upsample(_checked_map(heatmap), (image.height, image.width))
    return Image.blend(image.convert("RGB"), Image.fromarray(colorize(at_image_size, colormap)), opacity)


def _checked_map(values: np.ndarray) -> np.ndarray:
    raw = np.asarray(values, dtype=np.float32)
    if raw.ndim != 2 or not raw.size:
        raise DataError(f"expected a heatmap (H, W), got an array of shape {raw.shape}: pass Heatmap.values.")
    if not np.isfinite(raw).all() or raw.min() < 0:
        raise DataError(
            f"expected a heatmap of finite values ≥ 0, got {extremes(raw.ravel())}: pass the raw map of a CAM method."
        )
    return raw
