"""Draw a heatmap over an image as the published code of Combi-CAM does: OpenCV's jet, blended 1 : 1, on a figure.

This reproduces the pictures of the original; all other overlays are drawn by overlay.py.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geoexplain.view.overlay import normalise

SIZE_INCHES = (8, 6)
DOTS_PER_INCH = 100
SHARPEST_PX = 1600
"""Longest side of an image on a figure, which has 800 × 600 dots: a large photo in full would need a GB of memory."""


def jet() -> NDArray[np.uint8]:
    """Return the 256 colours of OpenCV's COLORMAP_JET, uint8 (256, 3) RGB: as in MATLAB, unlike matplotlib's jet."""
    x = np.linspace(0, 1, 256)[:, None]
    summit = np.array([0.75, 0.5, 0.25])  # peaks of red, green and blue: full within 1/8 of the peak, none beyond 3/8
    return np.rint(255 * np.clip(1.5 - 4 * np.abs(x - summit), 0, 1)).astype(np.uint8)


def half_and_half(view: Image.Image, heatmap: NDArray[np.float32]) -> Image.Image:
    """Blend the network's view of an image, W × H px in RGB, 1 : 1 with the jet colours of a raw map (H, W) ≥ 0.

    As in the original, the map is min–max scaled and truncated, not rounded, to 256 levels; a flat map has level 0
    everywhere. Unlike the original, which shows the normalised tensor min–max scaled, the view keeps its true colours.
    Raises DataError for an invalid map.
    """
    level = (255 * normalise(heatmap)).astype(np.uint8)
    return Image.fromarray(np.rint((jet()[level] + np.asarray(view, dtype=np.float64)) / 2).astype(np.uint8))


def save_figure(file: Path, image: Image.Image, *, ruler: bool) -> None:
    """Write an RGB image as PNG on a white figure of 8 × 6 inches at 100 dots per inch.

    ruler  whether the axes with pixel numbers are drawn
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - not pyplot: its figures are global, and never freed

    width, height = image.size
    shown = image.copy()
    shown.thumbnail((SHARPEST_PX, SHARPEST_PX))
    figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH)
    axes = figure.add_subplot()
    axes.imshow(shown, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    if not ruler:
        axes.axis("off")
    figure.savefig(file, format="png", dpi=DOTS_PER_INCH)
