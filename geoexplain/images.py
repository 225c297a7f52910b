"""An untrusted file or array → an upright RGB image, and that image → what a network sees.

Every image enters geoexplain through `open_image`, whoever sent it: one place that decides what is opened, before
anything is decoded.
"""

import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np
import torch
from PIL import ExifTags, Image

from geoexplain.errors import DataError, ImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
MAX_PIXELS = 50_000_000
MAX_SIDE_PX = 12_000

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

ImageSource = str | Path | bytes | BinaryIO | Image.Image | np.ndarray

# EXIF 2.32, tag 274: the stored picture needs this change to stand upright. 1 is upright already.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_image(source: ImageSource, *, shorter_px: int | None = None) -> Image.Image:
    """Read an image that nobody vouches for, and return it upright, in RGB, with nothing but its pixels.

    A file is recognised by its content (never by its name) as one of `FORMATS`; its header is checked against
    `MAX_PIXELS` and `MAX_SIDE_PX` before anything is decoded. The first frame of an animation is taken, the EXIF
    orientation is applied, transparency is laid over white, 16-bit samples are scaled to 8 bits (by 257, not
    clipped), palettes and CMYK become RGB. The result has no EXIF, GPS, colour profile or other metadata.

    Args:
        source: a path, the bytes of a file, a binary file object (read from where it stands), a Pillow image (of any
            kind, at the frame it stands at; it is not changed), or an array: (H, W) grey, (H, W, 3) RGB or
            (H, W, 4) RGBA, as uint8 in 0–255, uint16 in 0–65535 or float in 0–1. An array has no orientation.
        shorter_px: how many pixels the shorter side has to keep; a JPEG file is then decoded at a half, a quarter or
            an eighth of its size if that is enough. It saves time on large photos, but changes the pixels a little:
            for training, not for explaining. None decodes everything.

    Returns:
        An image of mode RGB that shares nothing with `source`.

    Raises:
        ImageError: it cannot be read, is of another format, is damaged or cut short, or is too large. The message
            names a file by its last path component only.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, "the array")
    if isinstance(source, Image.Image):
        return _decode(source, "the image")
    if isinstance(source, bytes):
        return _from_file(io.BytesIO(source), "the image", shorter_px)
    if isinstance(source, str | Path):
        return _from_path(source, shorter_px)
    if hasattr(source, "read"):
        return _from_file(source, "the image", shorter_px)
    raise ImageError(
        f"expected a path, bytes, a binary file, a Pillow image or an array, got {type(source).__name__}: "
        "pass the image in one of these forms."
    )


@dataclass(frozen=True)
class Preprocess:
    """How a network wants its input: the size, the normalisation and the longest shape it is given.

    Attributes:
        size_px: length of the shorter side, in pixels.
        mean: per channel (R, G, B), subtracted from values in 0–1. ImageNet's by default.
        std: per channel (R, G, B), divides the result. ImageNet's by default.
        max_aspect: an image longer than this ratio of its sides (≥ 1) is cropped to it around its centre, so that
            a panorama cannot ask for unbounded memory.
        crop_from_px: length of the shorter side from which five crops of `size_px` are taken, at least that; None is
            16/15 of it (320 for 300).

    Raises:
        DataError: a value is out of its range.
    """

    size_px: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    max_aspect: float = 3.0
    crop_from_px: int | None = None

    def __post_init__(self) -> None:
        fits = self.size_px >= 1 and self.max_aspect >= 1 and self.size_px <= (self.crop_from_px or self.size_px)
        if not fits or len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise DataError(
                f"preprocessing: expected size_px ≥ 1, max_aspect ≥ 1, crop_from_px ≥ size_px, three means and three "
                f"std > 0, got {self}: check the model's card."
            )

    def visible(self, image: Image.Image) -> Image.Image:
        """Return the part of an image that the network sees, at the image's own resolution.

        That is the whole image, unless it is longer than `max_aspect` : 1 and cropped to it around its centre.

        Args:
            image: RGB, any size, as `open_image` returns it.

        Raises:
            ImageError: the image is not RGB.
        """
        if image.mode != "RGB":
            raise ImageError(f"expected an RGB image, got mode {image.mode}: open it with open_image first.")
        width, height = image.size
        longest = int(self.max_aspect * min(width, height))
        if max(width, height) <= longest:
            return image
        left, top = max(0, width - longest) // 2, max(0, height - longest) // 2
        return image.crop((left, top, left + min(width, longest), top + min(height, longest)))

    def view(self, image: Image.Image) -> Image.Image:
        """Return the exact pixels the network sees.

        The shorter side of what is `visible` becomes `size_px` (bilinear, antialiased), the other keeps the aspect
        ratio, rounded down as torchvision's `Resize` does.

        Args:
            image: RGB, any size, as `open_image` returns it.

        Raises:
            ImageError: the image is not RGB.
        """
        return self._resized(image, self.size_px)

    def five_crops(self, image: Image.Image) -> torch.Tensor:
        """Return the four corners and the centre of an image as the network's input, float32 (5, 3, S, S).

        S is `size_px`; the crops are taken, in the order upper left, upper right, lower left, lower right, centre,
        from what is `visible`, its shorter side resized to `crop_from_px`.

        Args:
            image: RGB, any size, as `open_image` returns it.

        Raises:
            ImageError: the image is not RGB.
        """
        side = self.size_px
        resized = self._resized(image, self.crop_from_px or round(side * 16 / 15))
        right, below = resized.width - side, resized.height - side
        # The centre is rounded half to even, as torchvision's FiveCrop does.
        corners = [(0, 0), (right, 0), (0, below), (right, below), (round(right / 2), round(below / 2))]
        return torch.cat([self._values(resized.crop((x, y, x + side, y + side))) for x, y in corners])

    def _resized(self, image: Image.Image, side_px: int) -> Image.Image:
        image = self.visible(image)
        width, height = image.size
        shorter = min(width, height)
        return image.resize((side_px * width // shorter, side_px * height // shorter), Image.Resampling.BILINEAR)

    def tensor(self, image: Image.Image) -> torch.Tensor:
        """Return the network's input: `view`, scaled to 0–1 and normalised, as float32 (1, 3, H, W).

        Raises:
            ImageError: the image is not RGB.
        """
        return self._values(self.view(image))

    def _values(self, view: Image.Image) -> torch.Tensor:
        pixels = torch.from_numpy(np.array(view))  # (H, W, 3) uint8
        values = pixels.permute(2, 0, 1).to(torch.float32).div(255)  # (3, H, W)
        return self.normalise(values).unsqueeze(0).contiguous()  # (1, 3, H, W)

    def normalise(self, rgb: torch.Tensor) -> torch.Tensor:
        """RGB (..., 3, H, W) in [0, 1] on any device → `mean` subtracted, divided by `std`, same shape."""
        mean = torch.tensor(self.mean, dtype=torch.float32, device=rgb.device).view(3, 1, 1)
        std = torch.tensor(self.std, dtype=torch.float32, device=rgb.device).view(3, 1, 1)
        return (rgb - mean) / std


def _from_path(path: str | Path, shorter_px: int | None) -> Image.Image:
    if isinstance(path, str) and path.lower().startswith(("http://", "https://", "ftp://", "file://", "data:")):
        raise ImageError(
            "expected the path of an image on this machine, got an address: download the image first, "
            "nothing is fetched from here."
        )
    name = "".join(letter if letter.isprintable() else "?" for letter in Path(path).name) or "the image"
    try:
        # Without O_NONBLOCK, opening a named pipe waits for a writer that may never come.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a valid path"
        raise ImageError(f"{name}: expected a readable image file, got '{reason}': check the path.") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ImageError(f"{name}: expected an image file, got a folder or a device: give the path of a file.")
    with os.fdopen(descriptor, "rb") as file:
        return _from_file(file, name, shorter_px)


def _from_file(file: BinaryIO, name: str, shorter_px: int | None) -> Image.Image:
    try:
        image = Image.open(file, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        _refuse_size(name, "more")
    except Exception:  # noqa: BLE001
        # Whatever a decoder raises on a hostile file (a dozen kinds of exception) means the same to its sender.
        raise ImageError(
            f"{name}: expected a JPEG, PNG, WebP, GIF or AVIF image, got something else or a damaged file: "
            "save it again as one of these."
        ) from None
    return _decode(image, name, shorter_px)


def _decode(image: Image.Image, name: str, shorter_px: int | None = None) -> Image.Image:
    _check_size(image.size, name)
    try:
        if shorter_px is not None and image.format == "JPEG":
            image.draft(None, (shorter_px, shorter_px))
        image.load()
        return _strip(_upright(_to_rgb(image, name), _orientation(image)))
    except ImageError:
        raise
    except Exception:  # noqa: BLE001
        raise ImageError(
            f"{name}: expected a whole image, got one that is damaged or cut short: "
            "save or download it again, then retry."
        ) from None


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(f"{name}: expected at least 1 × 1 px, got {width} × {height} px: choose another image.")
    if max(size) > MAX_SIDE_PX or width * height > MAX_PIXELS:
        _refuse_size(name, f"{width:,} × {height:,} px")


def _refuse_size(name: str, got: str) -> NoReturn:
    raise ImageError(
        f"{name}: expected at most {MAX_PIXELS // 1_000_000} megapixels and {MAX_SIDE_PX:,} px on a side, got {got}: "
        "make it smaller first."
    ) from None


def _orientation(image: Image.Image) -> int:
    # A damaged EXIF block does not spoil the pixels, so it counts as none.
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    change = _UPRIGHT.get(orientation)
    return image if change is None else image.transpose(change)


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode == "F":
        return _from_array(np.asarray(image), name)
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip to white
        samples = np.asarray(image)  # (H, W) uint16, or int32 for mode I
        if samples.min() < 0 or samples.max() > 65535:
            raise ImageError(
                f"{name}: expected 16-bit samples in 0–65535, got {samples.min()} to {samples.max()}: "
                "scale the image to 8 or 16 bits."
            )
        grey = _from_array(samples.astype(np.uint16), name)
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):
            grey.paste((255, 255, 255), mask=Image.fromarray(samples == transparent))
        return grey
    if image.has_transparency_data:
        return _over_white(image.convert("RGBA"))
    return image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _strip(image: Image.Image) -> Image.Image:
    # A copy keeps the info dictionary, and with it EXIF, GPS and colour profile; a fresh image has none.
    clean = Image.new("RGB", image.size)
    clean.paste(image)
    return clean


def _from_array(array: np.ndarray, name: str) -> Image.Image:
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise ImageError(
            f"{name}: expected the shape (H, W), (H, W, 3) or (H, W, 4), got {array.shape}: put the channels last."
        )
    _check_size((array.shape[1], array.shape[0]), name)
    samples = np.ascontiguousarray(_eight_bits(array, name))
    if samples.ndim == 3 and samples.shape[2] == 4:
        return _over_white(Image.fromarray(samples))
    return Image.fromarray(samples).convert("RGB")


def _eight_bits(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        raise ImageError(
            f"{name}: expected samples of uint8, uint16 or float, got {array.dtype}: convert them to one of these."
        )
    # Written so that NaN, which compares as false, is refused too.
    if not (array.min() >= 0 and array.max() <= 1):
        raise ImageError(
            f"{name}: expected float samples in 0–1, got {array.min():g} to {array.max():g}: divide by the largest "
            "possible value first."
        )
    return np.rint(array.astype(np.float64) * 255).astype(np.uint8)
