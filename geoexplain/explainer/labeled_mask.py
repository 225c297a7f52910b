"""Concepts that a user painted: a mask picture, and a legend that names its colours."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.explainer.segmenters import Masks
from geoexplain.files.reading import read_bytes
from geoexplain.geography.footprint import Footprint
from geoexplain.images import ImageSource, Preprocess, open_image
from geoexplain.words import printable

MAX_LEGEND_BYTES = 64 * 1024
MAX_COLORS = 255
LONGEST_NAME = 80

COLOR_COLUMNS = ("color", "colour")
NAME_COLUMNS = ("name", "concept")

PIXELS_PER_BLOCK = 2**20
"""Number of pixels that are looked up at a time, so that a large mask takes little more memory than its labels."""

Legend = dict[int, str]
"""Colour 0xRRGGBB → name of its concept; "" for no concept."""


@dataclass(frozen=True, eq=False)
class LabeledMask:
    """A segmenter for the single image that a mask was painted for.

    labels    uint8 (H, W), at the size of the network's view: 0 for no concept, else n for `concepts[n - 1]`
    concepts  names of the concepts, in the legend's order; a concept may cover nothing
    """

    labels: NDArray[np.uint8]
    concepts: tuple[str, ...]

    def __call__(self, image: Image.Image, position: Footprint | None = None) -> Masks:  # noqa: ARG002
        """Return one mask (H, W) per concept. Raises DataError for an image of another size than the mask's."""
        height, width = self.labels.shape
        if image.size != (width, height):
            raise DataError(
                f"mask: expected the image it was painted for, as the network sees it in {width} × {height} px, "
                f"got {image.width} × {image.height} px: paint a mask for this image."
            )
        return {concept: self.labels == n for n, concept in enumerate(self.concepts, 1)}


def read_labeled_mask(
    mask: ImageSource, legend: Path | bytes, picture: Image.Image, preprocess: Preprocess
) -> LabeledMask:
    """Read a painted mask and its legend for one picture.

    mask        a picture in a lossless format such as PNG, of the size of `picture`, with colours of the legend
    legend      a file, or its bytes, as read_legend() accepts them
    picture     RGB image, as `open_image` returns it
    preprocess  the model's preprocessing; the mask is cropped and scaled (to the nearest pixel) as the picture will be

    Raises ImageError for a mask that open_image() rejects, DataError for another size, a colour that is not in the
    legend, or a legend that cannot be used.
    """
    names = read_legend(legend)
    painted = open_image(mask)
    if painted.size != picture.size:
        raise DataError(
            f"mask: expected the size of the image, {picture.width} × {picture.height} px, "
            f"got {painted.width} × {painted.height} px: paint it over the image itself."
        )
    concepts = tuple(dict.fromkeys(name for name in names.values() if name))
    numbers = {color: concepts.index(name) + 1 if name else 0 for color, name in names.items()}
    labels = Image.fromarray(_labels(painted, numbers))
    # Preprocess accepts RGB alone; the crop depends only on the size.
    visible = preprocess.visible(Image.merge("RGB", (labels, labels, labels))).getchannel(0)
    fitted = visible.resize(preprocess.view(picture).size, Image.Resampling.NEAREST)
    return LabeledMask(np.asarray(fitted), concepts)


def read_legend(source: Path | bytes) -> Legend:
    """Read a legend from JSON or CSV, in its own order. Text that starts with { or [ is JSON.

    JSON  one object {"#rrggbb": "name", …}; null or "" marks a colour of no concept
    CSV   a header with `color` (or colour) and `name` (or concept), separated by commas, semicolons or tabs; an empty
          name marks a colour of no concept

    Two colours may share a name. Raises DataError for more than MAX_LEGEND_BYTES or MAX_COLORS, for no named colour,
    for a colour that is not #rrggbb or is repeated, and for names that are longer than LONGEST_NAME or not printable.
    """
    name = printable(source.name) if isinstance(source, Path) else "legend"
    data = read_bytes(source, MAX_LEGEND_BYTES) if isinstance(source, Path) else source
    if len(data) > MAX_LEGEND_BYTES:
        raise DataError(f"{name}: expected at most {MAX_LEGEND_BYTES:,} bytes, got {len(data):,}: is this a legend?")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{name}: expected text in UTF-8, got another encoding: save the legend as UTF-8.") from None
    rows = _json_rows(text, name) if text.lstrip().startswith(("{", "[")) else _csv_rows(text, name)
    legend: Legend = {}
    for color, concept in rows:
        code = _color_code(color, name)
        if code in legend:
            raise DataError(f"{name}: expected every colour once, got {color} twice: remove one of them.")
        legend[code] = _concept(concept, name)
        if len(legend) > MAX_COLORS:
            raise DataError(
                f"{name}: expected at most {MAX_COLORS} colours, got {len(legend)} or more: join some concepts."
            )
    if not any(legend.values()):
        raise DataError(f"{name}: expected at least one colour with a name, got none: name what the mask shows.")
    return legend


def _json_rows(text: str, name: str) -> Iterable[tuple[object, object]]:
    try:
        # As pairs, since a dictionary would silently keep the last of two equal colours.
        pairs = json.loads(text, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        raise DataError(f"{name}: expected a legend in JSON, but it could not be parsed: correct it.") from None
    if not isinstance(pairs, tuple):
        raise DataError(f'{name}: expected one object {{"#rrggbb": "name", …}}, got a list: change it to an object.')
    return pairs


def _csv_rows(text: str, name: str) -> Iterator[tuple[object, object]]:
    header = text.partition("\n")[0]
    delimiter = next((character for character in ",;\t" if character in header), ",")
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [cell.strip().lower() for cell in next(lines, [])]
        color = next((columns.index(one) for one in COLOR_COLUMNS if one in columns), None)
        concept = next((columns.index(one) for one in NAME_COLUMNS if one in columns), None)
        if color is None or concept is None:
            raise DataError(
                f"{name}: expected a header with color and name, got {printable(header.strip())!r}: rename the columns."
            )
        for cells in lines:
            if any(cell.strip() for cell in cells):
                if len(cells) <= max(color, concept):
                    raise DataError(
                        f"{name}, line {lines.line_num}: expected a colour and a name, got {len(cells)} of the "
                        f"{len(columns)} columns: complete the line."
                    )
                yield cells[color].strip(), cells[concept]
    except csv.Error as error:
        raise DataError(f"{name}, line {lines.line_num}: expected a line of CSV, got {error}: correct it.") from None


def _color_code(color: object, name: str) -> int:
    if not isinstance(color, str) or not re.fullmatch("#[0-9a-fA-F]{6}", color):
        raise DataError(f"{name}: expected a colour such as #1e90ff, got {printable(str(color))!r}: correct it.")
    return int(color[1:], 16)


def _concept(concept: object, name: str) -> str:
    text = "" if concept is None else concept
    if not isinstance(text, str) or len(text.strip()) > LONGEST_NAME or not text.strip().isprintable():
        raise DataError(
            f"{name}: expected a name of at most {LONGEST_NAME} printable characters, "
            f"got {printable(str(concept))!r}: choose another."
        )
    return text.strip()


def _labels(painted: Image.Image, numbers: dict[int, int]) -> NDArray[np.uint8]:
    """Return the number (H, W) of each pixel's colour. Raises DataError for colours without a number."""
    colors = np.array(sorted(numbers), dtype=np.int32)
    values = np.array([numbers[color] for color in colors.tolist()], dtype=np.uint8)
    width, height = painted.size
    labels = np.empty((height, width), dtype=np.uint8)
    unknown: NDArray[np.uint32] | None = None  # pixels of each of the 2²⁴ colours: 64 MiB, for any number of colours
    rows = max(1, PIXELS_PER_BLOCK // width)
    for top in range(0, height, rows):
        block = np.asarray(painted.crop((0, top, width, min(top + rows, height)))).astype(np.int32)
        codes = block[..., 0] << 16 | block[..., 1] << 8 | block[..., 2]
        place = np.minimum(np.searchsorted(colors, codes), len(colors) - 1)
        unnamed = codes[colors[place] != codes]
        if unnamed.size:
            unknown = np.zeros(2**24, dtype=np.uint32) if unknown is None else unknown
            distinct, counts = np.unique(unnamed, return_counts=True)
            unknown[distinct] += counts.astype(np.uint32)
        labels[top : top + rows] = values[place]
    if unknown is not None:
        code = int(unknown.argmax())
        raise DataError(
            f"mask: expected the colours of the legend alone, got {np.count_nonzero(unknown):,} others, mostly "
            f"#{code:06x} in {unknown[code]:,} pixels: add them to the legend, and save the mask "
            "without compression losses and smoothing, as PNG."
        )
    return labels
