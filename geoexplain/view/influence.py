"""Draw concept influence: a chart of bars around 1, a concept's mask, and the strongest pixels."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geoexplain.explainer.concept_chance import FEWER as FEWER_THAN_CHANCE
from geoexplain.explainer.concept_chance import MORE as MORE_THAN_CHANCE
from geoexplain.explainer.concept_chance import beyond_chance
from geoexplain.explainer.concepts import ConceptInfluence, dilate
from geoexplain.images import Preprocess

TIMES = 3
"""Factor by which pictures are larger than the network's input, along each side."""

MORE, LESS = (217, 95, 2), (117, 112, 179)
"""Colours of bars above and below 1 (ColorBrewer's Dark2, which is safe for colour-blind readers)."""

CHANCE, CHANCE_RANGE = (170, 170, 170), (90, 90, 90)
"""Colours of bars that chance explains, and of the line over the range that chance explains."""

TOP_COLOUR = (255, 213, 0)

OCTAVES = 3
"""Bars are cut at 8 and 1/8, since longer ones would leave no room for the others; their value is written there."""

LONGEST_LABEL = 32


def bar_length(ci: float) -> float:
    """Return the end of a bar on an axis with 0 at ci = 1: log₂ ci / OCTAVES, clipped to −1 … 1."""
    return float(np.clip(np.log2(ci) / OCTAVES, -1, 1)) if ci > 0 else -1.0


def save_chart(
    file: Path,
    concepts: Sequence[ConceptInfluence],
    title: str,
    chance: Mapping[str, tuple[float, float]],
) -> None:
    """Write a PNG with one bar for each concept that is not ignored, on a logarithmic axis around 1.

    `chance` maps concepts to the range that chance explains, drawn as a line; a bar that ends within it is grey.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - not pyplot: its figures are global, and never freed

    shown = counted(concepts)
    figure = Figure(figsize=(7, 1.3 + 0.34 * max(1, len(shown))), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for row, one in enumerate(shown):
        ci = one.ci or 0.0
        length = OCTAVES * bar_length(ci)
        colours = {MORE_THAN_CHANCE: MORE, FEWER_THAN_CHANCE: LESS, "": CHANCE}
        known = chance.get(one.concept)
        said = beyond_chance(one, known)
        axes.barh(row, length, color=np.array(colours[said]) / 255, height=0.66)
        if known is not None:
            ends = [OCTAVES * bar_length(end) for end in known]
            axes.plot(ends, [row, row], color=np.array(CHANCE_RANGE) / 255, linewidth=1.2)
        side = 1 if ci >= 1 else -1
        axes.annotate(
            f"{ci:.2f}",
            (length, row),
            (4 * side, 0),
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            va="center",
            fontsize=9,
        )
    axes.axvline(0, color="black", linewidth=1)
    axes.set_xlim(-OCTAVES - 0.7, OCTAVES + 0.7)
    octaves = range(-OCTAVES, OCTAVES + 1)
    axes.set_xticks(list(octaves), [f"1/{2**-n}" if n < 0 else f"{2**n}" for n in octaves])
    # Concepts are untrusted text: "$\\frac" must not be parsed as a formula.
    axes.set_yticks(range(len(shown)), [shortened(one.concept) for one in shown], parse_math=False)
    axes.invert_yaxis()
    axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    axes.set_xlabel("concept influence; grey: within the range (line) that chance explains", fontsize=9)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    with warnings.catch_warnings():
        # A name may have letters that matplotlib's font lacks, which it draws as boxes.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(file, format="png")


def shortened(text: str) -> str:
    """Shorten a name so that it leaves room for its bar."""
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


def counted(concepts: Sequence[ConceptInfluence]) -> list[ConceptInfluence]:
    """Return the concepts that are not ignored, the most influential first."""
    return sorted((one for one in concepts if not one.ignored), key=lambda one: -(one.ci or 0.0))


def enlarged(picture: Image.Image, preprocess: Preprocess) -> Image.Image:
    """Return the part of an RGB image that the network sees, TIMES as large as its input."""
    return replace(preprocess, size_px=TIMES * preprocess.size_px, crop_from_px=None).view(picture)


def mask_picture(shown: Image.Image, mask: NDArray[np.bool_]) -> Image.Image:
    """Return a picture that is darkened outside a mask (h, w), scaled to it, with the mask's border in white."""
    inside = _scaled(mask, shown)
    pixels = np.asarray(shown).copy()
    pixels[~inside] = pixels[~inside] // 4
    pixels[dilate(inside, 1) & ~inside] = 255
    return Image.fromarray(pixels)


def top_picture(shown: Image.Image, top: NDArray[np.bool_]) -> Image.Image:
    """Return a picture in dark grey with the strongest pixels (h, w) marked."""
    grey = np.asarray(shown.convert("L")).astype(np.uint16) * 5 // 8
    pixels = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    pixels[_scaled(top, shown)] = TOP_COLOUR
    return Image.fromarray(pixels)


def _scaled(mask: NDArray[np.bool_], shown: Image.Image) -> NDArray[np.bool_]:
    return np.asarray(Image.fromarray(mask).resize(shown.size, Image.Resampling.NEAREST), dtype=np.bool_)
