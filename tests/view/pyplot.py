"""matplotlib's pyplot, with which the original draws, and OpenCV, with which it colours."""

from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
from PIL import Image


def pixels(image: Image.Image | Path) -> np.ndarray:
    """An image or a file as integers (H, W, 3), which may be subtracted."""
    if isinstance(image, Path):
        with Image.open(image) as opened:
            image = opened.convert("RGB")
    return np.asarray(image).astype(int)


def composed(view: Image.Image, heatmap: np.ndarray) -> Image.Image:
    """A map over an image of its size, as the original composes the two."""
    scaled = (heatmap - heatmap.min()) / (heatmap - heatmap.min()).max()
    colours = cv2.cvtColor(cv2.applyColorMap(np.uint8(255 * scaled), cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)
    return Image.fromarray(cv2.addWeighted(colours, 0.5, np.asarray(view), 0.5, 0))


def drawn_by_pyplot(image: Image.Image, file: Path, *, ruler: bool) -> np.ndarray:
    """The pixels (600, 800, 3) of the figure that the original saves."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(8, 6))
    plt.imshow(image)
    if not ruler:
        plt.axis("off")
    plt.savefig(file, format="png")
    plt.close(figure)
    return pixels(file)
