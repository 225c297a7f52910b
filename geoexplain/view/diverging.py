"""Draw a signed map over the image: orange for evidence of one cell, blue for the other."""

import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from geoexplain.errors import DataError
from geoexplain.explainer.combine import upsample
from geoexplain.words import extremes

HERE_RGB, THERE_RGB = (240, 120, 0), (64, 150, 255)
"""Orange and blue: equally light (CIE L* 63 and 62), so that neither looks stronger, and distinguishable with every
kind of colour blindness that lacks one type of cone."""

STRONGEST_OPACITY = 0.85
"""Default opacity of the colours where the map is strongest; where it is 0 the image has no colour."""

DARKEST_GREY, LIGHTEST_GREY = 70, 225
"""Range of greys of the image below the colours: on black, faint colours could not be distinguished."""

EQUAL_LOG_ODDS, COUNTABLE_ODDS = 0.005, 1e6
NARROWEST_LEGEND_PX = 360
LETTERS_PER_WIDTH = 34
SMALLEST_LETTER_PX, LARGEST_LETTER_PX = 13, 42


def scaled(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Divide a signed map (H, W) by its largest magnitude: float32 in [−1, 1]; zeros stay zeros.

    Raises DataError for a map that is not two-dimensional, or holds NaN or infinity.
    """
    raw = np.asarray(values, dtype=np.float32)
    if raw.ndim != 2 or not raw.size or not np.isfinite(raw).all():
        raise DataError(
            f"expected a signed map (H, W) of finite values, got {extremes(raw.ravel())} of shape "
            f"{raw.shape}: pass SignedMap.values."
        )
    largest = np.abs(raw).max()
    return raw / largest if largest > 0 else raw


def two_coloured(image: Image.Image, values: NDArray[np.floating], opacity: float = STRONGEST_OPACITY) -> Image.Image:
    """Return the image in grey, at its own size, with a signed map's two colours over it; RGB.

    values   (H, W), any size; interpolated to the image's size
    opacity  of the colours where the map is strongest, 0 … 1; elsewhere in proportion to its magnitude

    The image is grey since seas are blue and deserts orange, and never black or white. Raises DataError for an opacity
    out of range or an invalid map.
    """
    if not 0 <= opacity <= 1:
        raise DataError(f"expected an opacity from 0 to 1, got {opacity}: choose a value between.")
    at_image_size = upsample(scaled(values), (image.height, image.width))[..., None]
    light = np.asarray(image.convert("L"), dtype=np.float32)[..., None] / 255
    grey = DARKEST_GREY + (LIGHTEST_GREY - DARKEST_GREY) * light
    colours = np.where(at_image_size > 0, np.array(HERE_RGB, np.float32), np.array(THERE_RGB, np.float32))
    share = opacity * np.abs(at_image_size)
    return Image.fromarray(np.rint(grey + share * (colours - grey)).astype(np.uint8))


def odds_in_words(here: str, there: str, log_odds: float) -> str:
    """Return a sentence on how much more probable one of two cells is; `log_odds` as in Contrast."""
    ahead, behind = (here, there) if log_odds >= 0 else (there, here)
    if abs(log_odds) < EQUAL_LOG_ODDS:
        return f"“{here}” and “{there}” are equally probable (log-odds {log_odds:+.2f})."
    if abs(log_odds) >= math.log(COUNTABLE_ODDS):
        times = "more than a million times"
    else:
        odds = math.exp(abs(log_odds))
        times = f"{odds:,.0f} times" if odds >= 100 else f"{odds:.3g} times"
    return f"“{ahead}” is {times} as probable as “{behind}” (log-odds {log_odds:+.2f})."


def with_legend(picture: Image.Image, here: str, there: str, sentence: str) -> Image.Image:
    """Return a two-coloured picture with a legend and a sentence below it; RGB, at least 360 px wide."""
    width = max(picture.width, NARROWEST_LEGEND_PX)
    letter = min(max(width // LETTERS_PER_WIDTH, SMALLEST_LETTER_PX), LARGEST_LETTER_PX)
    font = ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), letter)
    gap, line, swatch = letter // 2, round(1.4 * letter), 4 * letter
    indent = 2 * gap + swatch
    rows = [
        (colour, wrapped(text, font, width - indent - gap)) for colour, text in ((HERE_RGB, here), (THERE_RGB, there))
    ]
    words = wrapped(sentence, font, width - 2 * gap)
    height = 2 * gap + line * (sum(len(lines) for _, lines in rows) + len(words))
    sheet = Image.new("RGB", (width, picture.height + height), "white")
    sheet.paste(picture, ((width - picture.width) // 2, 0))
    pen = ImageDraw.Draw(sheet)
    top = picture.height + gap
    for colour, lines in rows:
        sheet.paste(fading(colour, swatch, letter), (gap, top + line // 2 - letter // 2))
        for text in lines:
            pen.text((indent, top + line // 2), text, "black", font, anchor="lm")
            top += line
    for text in words:
        pen.text((gap, top + line // 2), text, "black", font, anchor="lm")
        top += line
    return sheet


def fading(colour: tuple[int, int, int], width: int, height: int) -> Image.Image:
    """Return a strip that fades from middle grey to a colour."""
    share = np.linspace(0, 1, width)[None, :, None]
    strip = np.rint(128 + share * (np.array(colour) - 128)).astype(np.uint8)
    return Image.fromarray(np.repeat(strip, height, axis=0))


def wrapped(text: str, font: ImageFont.FreeTypeFont, width_px: float) -> list[str]:
    """Break text into lines no wider than `width_px`, unless a single word is wider."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width_px:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
