"""Painted masks: masks pixel by pixel, alignment with the image, and refused input."""

import io
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geoexplain.errors import DataError, ImageError
from geoexplain.explainer.labeled_mask import MAX_COLORS, MAX_LEGEND_BYTES, read_labeled_mask, read_legend
from geoexplain.images import Preprocess

SEA, ICE, NONE = (0, 0, 255), (255, 255, 255), (1, 2, 3)
LEGEND = json.dumps({"#0000ff": "sea", "#FFFFFF": "ice", "#010203": None}).encode()


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def painting(height: int, width: int) -> np.ndarray:
    """The left third is sea, the right third is ice, and the middle belongs to no concept."""
    pixels = np.full((height, width, 3), NONE, dtype=np.uint8)
    pixels[:, : width // 3] = SEA
    pixels[:, -(width // 3) :] = ICE
    return pixels


def picture_of(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), "green")


def test_every_pixel_has_its_concept() -> None:
    segmenter = read_labeled_mask(png(painting(6, 9)), LEGEND, picture_of(9, 6), Preprocess(size_px=6))
    masks = segmenter(picture_of(9, 6))
    assert list(masks) == ["sea", "ice"]
    columns = np.arange(9)
    np.testing.assert_array_equal(masks["sea"], np.broadcast_to(columns < 3, (6, 9)))
    np.testing.assert_array_equal(masks["ice"], np.broadcast_to(columns >= 6, (6, 9)))


def test_two_colours_may_share_a_name_and_one_may_cover_nothing() -> None:
    legend = b'{"#0000ff": "cold", "#ffffff": " cold ", "#010203": "", "#00ff00": "grass"}'
    masks = read_labeled_mask(png(painting(6, 9)), legend, picture_of(9, 6), Preprocess(size_px=6))(picture_of(9, 6))
    assert list(masks) == ["cold", "grass"]
    assert masks["cold"].sum() == 36
    assert not masks["grass"].any()


@pytest.mark.parametrize(("width", "height"), [(90, 60), (300, 60), (40, 250), (61, 47)])
def test_it_is_cropped_and_scaled_as_the_image_is(width: int, height: int) -> None:
    # The mask must be "red" where the network's view is pure red, and elsewhere only at the smoothed edges.
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[: height // 2, width // 3 :] = (255, 0, 0)
    preprocess = Preprocess(size_px=24)
    picture = Image.fromarray(pixels)
    segmenter = read_labeled_mask(png(pixels), b'{"#ff0000": "red", "#000000": null}', picture, preprocess)
    view = preprocess.view(picture)
    seen = np.asarray(view)[..., 0]
    mask = segmenter(view)["red"]
    assert mask.shape == seen.shape
    assert mask[seen == 255].all()
    assert not mask[seen == 0].any()
    assert (seen == 255).any()
    assert (seen == 0).any()


def test_a_large_mask_is_read_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    palette = np.array([SEA, ICE, NONE], dtype=np.uint8)
    choice = generator.integers(3, size=(50, 40))
    monkeypatch.setattr("geoexplain.explainer.labeled_mask.PIXELS_PER_BLOCK", 130)
    segmenter = read_labeled_mask(png(palette[choice]), LEGEND, picture_of(40, 50), Preprocess(size_px=40))
    np.testing.assert_array_equal(segmenter.labels, np.array([1, 2, 0])[choice])


def test_a_palette_and_a_grey_mask_are_accepted() -> None:
    grey = np.array([[0, 0, 255], [0, 255, 255]], dtype=np.uint8)
    for image in (Image.fromarray(grey), Image.fromarray(grey).convert("P")):
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        legend = b'{"#000000": "dark", "#ffffff": "light"}'
        segmenter = read_labeled_mask(buffer.getvalue(), legend, picture_of(3, 2), Preprocess(size_px=2))
        np.testing.assert_array_equal(segmenter.labels, np.where(grey > 0, 2, 1))


@pytest.mark.parametrize(
    "text",
    [
        "color,name\n#0000ff,sea\n#ffffff,ice\n#010203,\n",
        "\ufeffNAME;Colour;who\r\nsea;#0000FF;me\r\n\r\nice; #ffffff ;you\r\n;#010203;\r\n",
        'concept\tcolor\n"sea"\t#0000ff\nice\t#ffffff\n\t#010203\n',
        '\n {"#0000ff": "sea", "#ffffff": "ice", "#010203": ""}',
    ],
)
def test_legends_are_read_in_their_order(text: str, tmp_path: Path) -> None:
    expected = [(0x0000FF, "sea"), (0xFFFFFF, "ice"), (0x010203, "")]
    assert list(read_legend(text.encode()).items()) == expected
    (tmp_path / "legend").write_bytes(text.encode())
    assert list(read_legend(tmp_path / "legend").items()) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "header with color and name"),
        (b"colour,title\n", "header with color and name, got 'colour,title'"),
        (b"color,name\n", "at least one colour with a name"),
        (b"color,name\n#0000ff\n", "line 2: expected a colour and a name"),
        (b'color,name\n#0000ff,"sea\n', "line 2: expected a line of CSV"),
        (b"color,name\nblue,sea\n", "such as #1e90ff, got 'blue'"),
        (b"color,name\n#00f,sea\n", "such as #1e90ff"),
        ("color,name\n#０000ff,sea\n".encode(), "such as #1e90ff"),
        (b"color,name\n#0000ff,sea\n#0000FF,lake\n", "every colour once, got #0000FF twice"),
        (b'{"#0000ff": "sea", "#0000ff": "lake"}', "every colour once"),
        (b'{"#0000ff": 5}', "printable characters, got '5'"),
        (b'{"#0000ff": {"#ffffff": "sea"}}', "printable characters"),
        (b'{"#0000ff": "a\\u202eb"}', r"printable characters, got 'a\?b'"),
        (json.dumps({"#0000ff": "a" * 81}).encode(), "at most 80 printable characters"),
        (b'{"#0000ff": ""}', "at least one colour with a name"),
        (b"{}", "at least one colour with a name"),
        (b'["#0000ff"]', "expected one object"),
        (b'{"#0000ff": ', "could not be parsed"),
        (b'{"a":' * 12_000, "could not be parsed"),
        (b"color,name\n\xff\xfe", "UTF-8"),
        (b" " * (MAX_LEGEND_BYTES + 1), "at most 65,536 bytes"),
        (json.dumps({f"#{i:06x}": "a" for i in range(MAX_COLORS + 1)}).encode(), "at most 255 colours"),
    ],
    ids=range(22),
)
def test_other_legends_are_refused(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_legend(data)
    (tmp_path / "l.csv").write_bytes(data)
    with pytest.raises(DataError, match=r"l\.csv"):
        read_legend(tmp_path / "l.csv")


def test_other_masks_are_refused() -> None:
    preprocess = Preprocess(size_px=6)
    with pytest.raises(DataError, match="size of the image, 9 × 7 px, got 9 × 6 px"):
        read_labeled_mask(png(painting(6, 9)), LEGEND, picture_of(9, 7), preprocess)
    strange = painting(6, 9)
    strange[0, :4] = (0, 0, 254)
    strange[1, 0] = (7, 7, 7)
    with pytest.raises(DataError, match="got 2 others, mostly #0000fe in 4 pixels"):
        read_labeled_mask(png(strange), LEGEND, picture_of(9, 6), preprocess)
    with pytest.raises(ImageError, match="damaged"):
        read_labeled_mask(png(painting(6, 9))[:60], LEGEND, picture_of(9, 6), preprocess)
    with pytest.raises(ImageError, match="JPEG, PNG"):
        read_labeled_mask(b"GIF", LEGEND, picture_of(9, 6), preprocess)


def test_another_image_than_its_own_is_refused() -> None:
    segmenter = read_labeled_mask(png(painting(6, 9)), LEGEND, picture_of(9, 6), Preprocess(size_px=6))
    with pytest.raises(DataError, match="9 × 6 px, got 6 × 9 px"):
        segmenter(picture_of(6, 9))


def test_a_million_unknown_colours_are_counted_in_little_memory() -> None:
    # Two blocks of pixels with every colour once, except the last, which occurs twice.
    codes = np.arange(2**21, dtype=np.uint32)[::-1] + 2**22
    codes[0] = codes[-1]
    channels = [(codes >> shift & 255).astype(np.uint8).reshape(1024, 2048) for shift in (16, 8, 0)]
    mask = png(np.stack(channels, axis=-1))
    picture = picture_of(2048, 1024)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="got 2,097,151 others, mostly #400000 in 2 pixels"):
            read_labeled_mask(mask, LEGEND, picture, Preprocess(size_px=6))
        assert tracemalloc.get_traced_memory()[1] < 160e6
    finally:
        tracemalloc.stop()
