"""A heatmap over an image as the published code of Combi-CAM draws it: OpenCV's jet, half and half, on a figure.

Everything else is drawn by overlay.py; this is for who wants the pictures of the original.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geoexplain.view.overlay import normalise

SIZE_INCHES = (8, 6)
DOTS_PER_INCH = 100
SHARPEST_PX = 1600
"""Longest side of what is laid on a figure, which has 800 × 600 dots: drawing all of a large photo would take a GB."""


def jet() -> NDArray[np.uint8]:
    """The 256 colours of OpenCV's COLORMAP_JET, which are MATLAB's, uint8 (256, 3) RGB; matplotlib's jet is another."""
    x = np.linspace(0, 1, 256)[:, None]
    summit = np.array([0.75, 0.5, 0.25])  # of red, green and blue: full within 1/8 of it, none beyond 3/8
    return np.rint(255 * np.clip(1.5 - 4 * np.abs(x - summit), 0, 1)).astype(np.uint8)


def half_and_half(view: Image.Image, heatmap: NDArray[np.float32]) -> Image.Image:
    """The network's view of an image, W × H px in RGB, blended 1 : 1 with the jet colours of a raw map (H, W) ≥ 0.

    The map is min–max scaled and cut, not rounded, to 256 levels, as in the original; where it is flat every level
    is 0. The view keeps its true colours, where the original shows the normalised tensor min–max scaled. Raises
    DataError for a map of another kind.
    """
    level = (255 * normalise(heatmap)).astype(np.uint8)
    return Image.fromarray(np.rint((jet()[level] + np.asarray(view, dtype=np.float64)) / 2).astype(np.uint8))


def save_figure(file: Path, image: Image.Image, *, ruler: bool) -> None:
    """Write an RGB image as PNG on a white figure of 8 × 6 inches at 100 dots per inch.

    ruler  whether its pixels are counted along the edges
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
