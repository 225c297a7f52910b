"""Images from `open_image`, against hand-worked pixels and independent libraries; other files are refused early."""

import io
import os
import random
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile, ImageOps
from torchvision.transforms import functional as vision

from geoexplain.errors import DataError, ImageError
from geoexplain.images import FORMATS, MAX_PIXELS, MAX_SIDE_PX, Preprocess, open_image

# 2 × 3 pixels, all different, so that no two of the eight orientations look alike.
PIXELS = np.array(
    [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]], [[0, 255, 255], [255, 0, 255]]], dtype=np.uint8
)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image)


def photo(width: int = 48, height: int = 32) -> Image.Image:
    """Return a smooth picture, which every format compresses with little loss."""
    row, column = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([row * 4, column * 4, 128 + row - column], axis=-1).astype(np.uint8))


def png_header(width: int, height: int, bit_depth: int = 8) -> bytes:
    """Return a PNG with a header but no pixels."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, bit_depth, 2, 0, 0, 0)),
            (b"IDAT", zlib.compress(b"")),
            (b"IEND", b""),
        )
    )


# The picture as stored for each EXIF orientation, written as the change that a viewer has to undo (EXIF 2.32, tag 274:
# where the stored first row and first column lie in the upright picture).
STORED = {
    1: PIXELS,
    2: PIXELS[:, ::-1],
    3: PIXELS[::-1, ::-1],
    4: PIXELS[::-1],
    5: PIXELS.transpose(1, 0, 2),
    6: PIXELS.transpose(1, 0, 2)[::-1],
    7: PIXELS.transpose(1, 0, 2)[::-1, ::-1],
    8: PIXELS.transpose(1, 0, 2)[:, ::-1],
}


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("orientation", STORED)
def test_all_orientations_stand_upright_pixel_for_pixel(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation]))
    content = encode(stored, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    np.testing.assert_array_equal(pixels(open_image(content)), PIXELS)
    # Pillow's own function agrees that this is what the tag means.
    np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content)))), PIXELS)


@pytest.mark.parametrize("orientation", STORED)
def test_jpegs_stand_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    blocks = STORED[orientation].repeat(16, axis=0).repeat(16, axis=1)
    content = encode(Image.fromarray(np.ascontiguousarray(blocks)), "JPEG", exif=exif, quality=95, subsampling=0)
    upright = pixels(open_image(content))[8::16, 8::16].astype(int)
    assert np.abs(upright - PIXELS).max() <= 6


def test_an_orientation_that_does_not_exist_counts_as_none() -> None:
    exif = Image.Exif()
    exif[0x0112] = 9
    np.testing.assert_array_equal(pixels(open_image(encode(Image.fromarray(PIXELS), "PNG", exif=exif))), PIXELS)


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    samples = np.linspace(0, 65535, 4096).round().astype(np.uint16).reshape(64, 64)
    content = encode(Image.fromarray(samples), "PNG")
    assert Image.open(io.BytesIO(content)).mode == "I;16"
    grey = pixels(open_image(content)).astype(np.float64) / 255
    assert np.abs(grey - samples[..., None] / 65535).max() <= 0.5 / 255 + 1e-12


def test_sixteen_bit_colour_is_scaled_not_clipped() -> None:
    samples = np.linspace(0, 65535, 64 * 3).round().astype(">u2").reshape(8, 8, 3)
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    header = png_header(8, 8, bit_depth=16)
    body = zlib.compress(rows)
    chunk = struct.pack(">I", len(body)) + b"IDAT" + body + struct.pack(">I", zlib.crc32(b"IDAT" + body))
    content = header[:33] + chunk + header[-12:]
    colour = pixels(open_image(content)).astype(np.float64) / 255
    assert np.abs(colour - samples / 65535).max() <= 1 / 255


def test_sixteen_bit_grey_with_a_transparent_value_lies_on_white() -> None:
    samples = np.array([[0, 300], [65535, 300]], dtype=np.uint16)
    image = Image.open(io.BytesIO(encode(Image.fromarray(samples), "PNG", transparency=300)))
    assert image.info["transparency"] == 300
    np.testing.assert_array_equal(pixels(open_image(image))[..., 0], [[0, 255], [255, 255]])


def test_alpha_lies_on_white() -> None:
    # 0.2 · red + 0.8 · white = (255, 204, 204), worked out by hand.
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 51))
    image.putpixel((1, 0), (9, 9, 9, 0))
    assert pixels(open_image(encode(image, "PNG"))).tolist() == [[[255, 204, 204], [255, 255, 255]]]


def test_grey_with_alpha_lies_on_white() -> None:
    assert pixels(open_image(encode(Image.new("LA", (1, 1), (0, 51)), "PNG"))).tolist() == [[[204, 204, 204]]]


def test_a_palette_becomes_its_colours() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([2, 0, 1])
    assert pixels(open_image(encode(image, "PNG"))).tolist() == [[[70, 80, 90], [10, 20, 30], [40, 50, 60]]]
    see_through = encode(image, "PNG", transparency=0)
    assert pixels(open_image(see_through)).tolist() == [[[70, 80, 90], [255, 255, 255], [40, 50, 60]]]


def test_cmyk_becomes_rgb() -> None:
    # R = 255 · (1 − C) · (1 − K): full cyan is (0, 255, 255); half of black dims everything by half.
    image = Image.new("CMYK", (32, 16), (255, 0, 0, 0))
    image.paste((0, 0, 0, 128), (16, 0, 32, 16))
    colours = pixels(open_image(encode(image, "JPEG", quality=100, subsampling=0))).astype(int)
    assert np.abs(colours[8, 4] - [0, 255, 255]).max() <= 3
    assert np.abs(colours[8, 28] - [127, 127, 127]).max() <= 3


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "AVIF", "PNG"])
def test_the_first_frame_of_an_animation_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue", "lime")]
    content = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
    assert Image.open(io.BytesIO(content)).n_frames == 3
    assert np.abs(pixels(open_image(content)).astype(int) - [255, 0, 0]).max() <= 4


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_opened_by_its_content(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.txt"
    path.write_bytes(encode(photo(), kind))
    expected = np.asarray(photo()).astype(int)
    with Image.open(path) as opened, path.open("rb") as file:
        for source in (path, str(path), path.read_bytes(), file, opened):
            assert np.abs(pixels(open_image(source)).astype(int) - expected).mean() < (12 if kind == "GIF" else 3)


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "PPM", "ICO", "TGA", "PDF", "JPEG2000", "EPS"])
def test_every_other_format_is_refused(kind: str) -> None:
    with pytest.raises(ImageError, match="expected a JPEG, PNG, WebP, GIF or AVIF image"):
        open_image(encode(photo(), kind))


def test_nothing_but_pixels_remains() -> None:
    exif = Image.Exif()
    exif[0x0110] = "CAMERA-CANARY"
    exif.get_ifd(0x8825)[1] = "N"
    content = encode(photo(), "JPEG", exif=exif, comment=b"COMMENT-CANARY", icc_profile=b"ICC-CANARY", dpi=(72, 72))
    image = open_image(content)
    assert image.info == {}
    assert not image.getexif()
    assert b"CANARY" not in encode(image, "JPEG") + encode(image, "PNG")


def test_the_source_is_not_changed() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    source = Image.open(io.BytesIO(encode(photo(), "JPEG", exif=exif)))
    opened = open_image(source)
    assert source.size == (48, 32)
    assert source.getexif()[0x0112] == 6
    plain = photo()
    open_image(plain).putpixel((0, 0), (1, 2, 3))
    assert plain.getpixel((0, 0)) == photo().getpixel((0, 0))
    assert opened.size == (32, 48)


# --- arrays ---


def test_arrays_mean_what_they_hold() -> None:
    np.testing.assert_array_equal(pixels(open_image(PIXELS)), PIXELS)
    np.testing.assert_array_equal(pixels(open_image(PIXELS / 255)), PIXELS)
    np.testing.assert_array_equal(pixels(open_image((PIXELS / 255).astype(np.float16))), PIXELS)
    np.testing.assert_array_equal(pixels(open_image(PIXELS.astype(np.uint16) * 257)), PIXELS)
    np.testing.assert_array_equal(pixels(open_image(PIXELS[..., 0])), PIXELS[..., :1].repeat(3, axis=2))
    np.testing.assert_array_equal(pixels(open_image(PIXELS[:, ::-1])), PIXELS[:, ::-1])
    see_through = np.dstack([PIXELS, np.full(PIXELS.shape[:2], 0, dtype=np.uint8)])
    assert (pixels(open_image(see_through)) == 255).all()


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros((3, 4, 5), np.uint8), r"put the channels last"),
        (np.zeros(7, np.uint8), r"got \(7,\)"),
        (np.zeros((0, 4, 3), np.uint8), r"at least 1 × 1 px, got 4 × 0 px"),
        (np.zeros((2, 2), np.int64), r"got int64"),
        (np.zeros((2, 2), bool), r"got bool"),
        (np.full((2, 2), 255.0), r"in 0–1, got 255 to 255"),
        (np.full((2, 2), -0.01), r"in 0–1"),
        (np.array([[0.0, np.nan]]), r"in 0–1"),
        (np.array([[0.0, np.inf]]), r"in 0–1"),
        (np.zeros((1, MAX_SIDE_PX + 1), np.uint8), r"12,000 px on a side, got 12,001 × 1 px"),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray, match: str) -> None:
    with pytest.raises(ImageError, match=match):
        open_image(array)


def test_wide_integer_images_outside_sixteen_bits_are_refused() -> None:
    with pytest.raises(ImageError, match="in 0–65535, got 0 to 70000"):
        open_image(Image.fromarray(np.array([[0, 70000]], dtype=np.int32)))


# --- sizes ---


def test_the_smallest_and_the_longest_image() -> None:
    assert open_image(encode(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG")).getpixel((0, 0)) == (1, 2, 3)
    assert open_image(encode(Image.new("L", (MAX_SIDE_PX, 1)), "PNG")).size == (MAX_SIDE_PX, 1)
    for size in ((100_000, 1), (1, 100_000), (MAX_SIDE_PX + 1, 1)):
        with pytest.raises(ImageError, match="12,000 px on a side"):
            open_image(encode(Image.new("1", size), "PNG"))


def bomb(kind: str, width: int, height: int) -> bytes:
    """Return a small file whose header declares width × height pixels."""
    if kind == "PNG":
        return png_header(width, height)
    content = bytearray(encode(Image.new("RGB", (64, 64)), kind, **({"lossless": True} if kind == "WEBP" else {})))
    if kind == "JPEG":
        at = content.index(b"\xff\xc0") + 5
        content[at : at + 4] = struct.pack(">HH", height, width)
    elif kind == "GIF":
        content[6:10] = struct.pack("<HH", width, height)
        at = content.index(b"\x2c")
        content[at + 5 : at + 9] = struct.pack("<HH", width, height)
    elif kind == "AVIF":
        at = content.index(b"ispe") + 8
        content[at : at + 8] = struct.pack(">II", width, height)
    elif kind == "WEBP":  # the lossless header holds 14 bits for each side, less one
        at = content.index(b"VP8L") + 9
        content[at : at + 4] = struct.pack("<I", (width - 1) | (height - 1) << 14)
    return bytes(content)


@pytest.mark.parametrize("size", [(7_100, 7_100), (9_800, 9_800), (16_000, 16_000), (12_001, 10)])
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_bombs_are_refused_before_anything_is_decoded(
    kind: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    for plugin in (ImageFile.ImageFile, *(type(Image.open(io.BytesIO(encode(photo(), kind)))) for kind in FORMATS)):
        monkeypatch.setattr(plugin, "load", decoded.append)
    content = bomb(kind, *size)
    assert len(content) < 2_000
    for shorter_px in (None, 96):
        with pytest.raises(ImageError, match="at most 50 megapixels and 12,000 px on a side"):
            open_image(content, shorter_px=shorter_px)
    assert decoded == []


def test_refusing_bombs_takes_no_memory(tmp_path: Path) -> None:
    sizes = [(9_000, 9_000), (12_001, 12_001)]
    paths = []
    for kind in FORMATS:
        for size in sizes:
            paths.append(tmp_path / f"{kind}{size[0]}")
            paths[-1].write_bytes(bomb(kind, *size))
    script = """
import resource, sys
from geoexplain.errors import ImageError
from geoexplain.images import open_image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        open_image(path)
    except ImageError:
        continue
    sys.exit(f"{path} was opened")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    command = [sys.executable, "-W", "ignore", "-c", script, *map(str, paths)]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 50_000  # kB, on Linux; decoding the smallest of them takes 243,000


def test_a_warning_turned_error_is_a_refusal_too() -> None:
    # 96 megapixels: above where Pillow warns, below where it refuses. The suite turns warnings into errors.
    with pytest.raises(ImageError, match="at most 50 megapixels"):
        open_image(png_header(9_800, 9_800))


def test_exactly_the_largest_size_is_not_too_large() -> None:
    # Only the header is complete, so the error 'cut short' means that the check of the size was passed.
    assert MAX_PIXELS == 10_000 * 5_000
    with pytest.raises(ImageError, match="damaged or cut short"):
        open_image(png_header(10_000, 5_000))
    with pytest.raises(ImageError, match="got 10,000 × 5,001 px"):
        open_image(png_header(10_000, 5_001))


# --- hostile and broken files ---


def corpus() -> dict[str, bytes]:
    """Return thirty broken files: each format truncated, damaged in the middle or at the start; and other formats."""
    files = {}
    rng = random.Random(0)
    for kind in FORMATS:
        content = encode(photo(), kind)
        middle = len(content) // 2
        files[f"{kind} half"] = content[:middle]
        files[f"{kind} without its end"] = content[:-12]
        files[f"{kind} header only"] = content[:20]
        files[f"{kind} with a hole"] = content[: middle - 20] + bytes(40) + content[middle + 20 :]
    jpeg, png = encode(photo(), "JPEG"), encode(photo(), "PNG")
    return files | {
        "empty": b"",
        "one byte": b"\xff",
        "zeros": bytes(4096),
        "noise": rng.randbytes(4096),
        "text": b"Dear Sir or Madam, " * 20,
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "png with a wrong checksum": png.replace(png[29:33], bytes(4), 1),
        "png without pixels": png_header(8, 8),
        "png of no width": png_header(0, 8),
        "jpeg in jpeg": jpeg[: len(jpeg) // 2] + jpeg,
    }


def opens_or_refuses(content: bytes) -> bool:
    """Return whether a file opens; anything but a valid image or one plain sentence fails the test."""
    try:
        image = open_image(content)
    except ImageError as error:
        sentence = str(error)
        assert sentence.startswith("the image: expected ")
        assert "\n" not in sentence
        assert "0x" not in sentence
        return False
    assert image.mode == "RGB"
    assert image.width * image.height <= MAX_PIXELS
    assert torch.isfinite(Preprocess(32).tensor(image)).all()
    return True


@pytest.mark.parametrize("name", corpus())
def test_a_broken_file_is_refused_in_one_sentence(name: str) -> None:
    content = corpus()[name]
    opened = opens_or_refuses(content)
    if name.endswith(("half", "header only")) or " " not in name:
        assert not opened


def test_the_corpus_has_thirty_files() -> None:
    assert len(corpus()) == 30


# A damaged EXIF or MPO block causes a warning, which the suite would turn into an error.
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", FORMATS)
def test_a_hundred_random_mutations_open_or_are_refused(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encode(photo(), kind, **({} if kind == "GIF" else {"exif": exif}))
    rng = random.Random(kind)
    outcomes = []
    for _ in range(100):
        mutant = bytearray(content)
        for _ in range(rng.randint(1, 12)):
            mutant[rng.randrange(len(mutant))] = rng.randrange(256)
        if rng.random() < 0.2:
            del mutant[rng.randrange(len(mutant)) :]
        outcomes.append(opens_or_refuses(bytes(mutant)))
    assert not all(outcomes)


@pytest.mark.parametrize(
    ("shorter_px", "size"), [(301, (600, 800)), (300, (300, 400)), (100, (150, 200)), (75, (75, 100)), (1, (75, 100))]
)
def test_a_jpeg_is_decoded_no_larger_than_needed_and_no_smaller(shorter_px: int, size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = photo(800, 600)
    small = open_image(encode(image, "JPEG", exif=exif, quality=95), shorter_px=shorter_px)
    assert (small.size, small.mode, small.info) == (size, "RGB", {})
    upright = image.transpose(Image.Transpose.ROTATE_270).resize(size, Image.Resampling.BOX)
    assert np.abs(pixels(small).astype(int) - pixels(upright)).mean() < 5  # JPEG alone makes 3
    assert open_image(encode(image, "PNG"), shorter_px=shorter_px).size == (800, 600)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_mutations_decoded_small_open_or_are_refused() -> None:
    content = encode(photo(400, 300), "JPEG")
    rng = random.Random(8)
    for _ in range(100):
        mutant = bytearray(content)
        for _ in range(rng.randint(1, 12)):
            mutant[rng.randrange(min(len(mutant), 700))] = rng.randrange(256)
        with suppress(ImageError):
            open_image(bytes(mutant), shorter_px=40).load()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_cut_short_is_refused(kind: str) -> None:
    content = encode(photo(320, 240), kind)
    with pytest.raises(ImageError, match="damaged"):
        open_image(content[: len(content) // 2])


# --- paths ---


def test_a_message_names_the_file_and_not_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "private-folder"
    folder.mkdir()
    (folder / "no\nte\x1b[31m.png").write_bytes(b"not an image")
    for path in (folder / "no\nte\x1b[31m.png", folder / "missing.png", folder):
        with pytest.raises(ImageError) as refusal:
            open_image(path)
        sentence = str(refusal.value)
        assert sentence.isprintable()
        assert str(tmp_path) not in sentence
        assert refusal.value.__cause__ is None
        assert refusal.value.__context__ is None or refusal.value.__suppress_context__
    with pytest.raises(ImageError, match=r"^missing.png: expected a readable image file, got 'No such file"):
        open_image(folder / "missing.png")


def test_pipes_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero"), "", "a\0b"):
        with pytest.raises(ImageError):
            open_image(path)


@pytest.mark.parametrize("address", ["http://a/b.png", "HTTPS://a/b.png", "ftp://a/b", "file:///b", "data:image/png,"])
def test_addresses_are_refused(address: str) -> None:
    with pytest.raises(ImageError, match="downloads nothing itself"):
        open_image(address)


def test_other_types_are_refused() -> None:
    with pytest.raises(ImageError, match="got int"):
        open_image(7)


# --- Preprocess ---


@pytest.mark.parametrize("size", [(640, 427), (427, 640), (50, 50), (1, 1), (300, 224), (223, 224)])
def test_the_tensor_is_torchvisions(size: tuple[int, int]) -> None:
    image = photo(*size)
    resized = vision.resize(image, 224, vision.InterpolationMode.BILINEAR)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    expected = vision.normalize(vision.to_tensor(resized), mean, std)[None]
    tensor = Preprocess(224).tensor(image)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    torch.testing.assert_close(tensor, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(420, 320), (310, 420), (300, 301), (211, 97)])
@pytest.mark.parametrize(("side", "crop_from"), [(300, None), (224, 256), (64, 64)])
def test_five_crops_are_torchvisions(size: tuple[int, int], side: int, crop_from: int | None) -> None:
    resized = vision.resize(photo(*size), crop_from or 320, vision.InterpolationMode.BILINEAR)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    crops = [vision.normalize(vision.to_tensor(crop), mean, std) for crop in vision.five_crop(resized, [side])]
    found = Preprocess(side, crop_from_px=crop_from).five_crops(photo(*size))
    torch.testing.assert_close(found, torch.stack(crops), rtol=0, atol=1e-6)


def test_the_tensor_holds_the_pixels_of_the_view() -> None:
    preprocess = Preprocess(40, mean=(0.5, 0.25, 0.0), std=(0.5, 1.0, 2.0))
    view = np.asarray(preprocess.view(photo(90, 60)))
    assert view.shape == (40, 60, 3)
    red, green, blue = preprocess.tensor(photo(90, 60))[0].numpy()
    np.testing.assert_allclose((red * 0.5 + 0.5) * 255, view[..., 0], atol=1e-4)
    np.testing.assert_allclose((green + 0.25) * 255, view[..., 1], atol=1e-4)
    np.testing.assert_allclose(blue * 2 * 255, view[..., 2], atol=1e-4)


@pytest.mark.parametrize("upright", [False, True])
def test_only_what_is_longer_than_max_aspect_is_cropped_around_the_centre(upright: bool) -> None:
    # Ten columns of 1 px, numbered 0–9; 4 : 1 keeps the middle four, numbers 3–6.
    strip = np.arange(10, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    image = Image.fromarray(strip.transpose(1, 0, 2).copy() if upright else strip)
    view = np.asarray(Preprocess(1, max_aspect=4).view(image))
    assert view[..., 0].ravel().tolist() == [3, 4, 5, 6]
    assert Preprocess(1, max_aspect=10).view(image).size == image.size


def test_a_panorama_takes_bounded_memory() -> None:
    assert Preprocess(224).tensor(Image.new("RGB", (12_000, 1))).shape == (1, 3, 224, 672)


def test_a_view_is_of_rgb_only() -> None:
    with pytest.raises(ImageError, match="got mode L"):
        Preprocess(8).view(Image.new("L", (8, 8)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"size_px": 0},
        {"size_px": 8, "crop_from_px": 7},
        {"size_px": 8, "max_aspect": 0.5},
        {"size_px": 8, "std": (1, 0, 1)},
        {"size_px": 8, "mean": (0,)},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(DataError, match="check the model's card"):
        Preprocess(**wrong)
