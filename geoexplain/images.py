"""Open untrusted images, and preprocess them for a network.

Every image enters geoexplain through `open_image`, which decides whether to accept a file before decoding it.
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

# EXIF 2.32, tag 274: orientation → the operation that turns the stored pixels upright. 1 is upright already.
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
    """Read an untrusted image and return it upright, in RGB and without metadata.

    The format of a file is detected from its content, never from its name, and must be one of `FORMATS`. The size in
    its header is checked against `MAX_PIXELS` and `MAX_SIDE_PX` before anything is decoded. Of an animation, the first
    frame is used. The EXIF orientation is applied, transparent pixels are blended with white, 16-bit samples are
    scaled to 8 bits (divided by 257, not clipped), and palettes and CMYK are converted to RGB. EXIF, GPS, colour
    profile and other metadata are removed.

    Args:
        source: a path, the bytes of a file, a binary file object (read from its current position), a Pillow image (of
            any mode, at its current frame; it is not changed), or an array: (H, W) grey, (H, W, 3) RGB or
            (H, W, 4) RGBA, as uint8 in 0–255, uint16 in 0–65535 or float in 0–1. An array has no orientation.
        shorter_px: minimum length of the shorter side, in pixels. A JPEG file is then decoded at a half, a quarter or
            an eighth of its size if that is large enough. This saves time on large photos but changes the pixels
            slightly: use it for training, not for explaining. None decodes at full size.

    Returns:
        An image of mode RGB that shares no memory with `source`.

    Raises:
        ImageError: the image cannot be read, has another format, is damaged or truncated, or is too large. The message
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
    """Input size, normalization and maximum aspect ratio of a network.

    Attributes:
        size_px: length of the shorter side, in pixels.
        mean: per channel (R, G, B), subtracted from values in 0–1. ImageNet's by default.
        std: per channel (R, G, B), divides the result. ImageNet's by default.
        max_aspect: maximum ratio of the longer to the shorter side (≥ 1). A longer image is cropped around its centre,
            so that a panorama cannot take unbounded memory.
        crop_from_px: length of the shorter side before five crops of `size_px` are cut, at least `size_px`; None is
            16/15 of `size_px` (320 for 300).

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
                f"standard deviations > 0, got {self}: check the model's card."
            )

    def visible(self, image: Image.Image) -> Image.Image:
        """Return the part of an image that the network sees, at the original resolution.

        This is the whole image, unless its aspect ratio exceeds `max_aspect`; then it is the crop around the centre.

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
        """Return the exact pixels that the network sees, before normalization.

        The `visible` part is resized (bilinear, antialiased) so that its shorter side is `size_px`. The longer side
        keeps the aspect ratio and is rounded down, as torchvision's `Resize` does.

        Args:
            image: RGB, any size, as `open_image` returns it.

        Raises:
            ImageError: the image is not RGB.
        """
        return self._resized(image, self.size_px)

    def five_crops(self, image: Image.Image) -> torch.Tensor:
        """Return the four corners and the centre of an image as the network's input, float32 (5, 3, S, S).

        S is `size_px`. The crops are cut from the `visible` part after resizing its shorter side to `crop_from_px`, in
        the order upper left, upper right, lower left, lower right, centre.

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
        """Return the network's input: the result of `view`, scaled to 0–1 and normalized, float32 (1, 3, H, W).

        Raises:
            ImageError: the image is not RGB.
        """
        return self._values(self.view(image))

    def _values(self, view: Image.Image) -> torch.Tensor:
        pixels = torch.from_numpy(np.array(view))  # (H, W, 3) uint8
        values = pixels.permute(2, 0, 1).to(torch.float32).div(255)  # (3, H, W)
        return self.normalize(values).unsqueeze(0).contiguous()  # (1, 3, H, W)

    def normalize(self, rgb: torch.Tensor) -> torch.Tensor:
        """Subtract `mean` from RGB (..., 3, H, W) in [0, 1] and divide by `std`; same shape, any device."""
        mean = torch.tensor(self.mean, dtype=torch.float32, device=rgb.device).view(3, 1, 1)
        std = torch.tensor(self.std, dtype=torch.float32, device=rgb.device).view(3, 1, 1)
        return (rgb - mean) / std


def _from_path(path: str | Path, shorter_px: int | None) -> Image.Image:
    if isinstance(path, str) and path.lower().startswith(("http://", "https://", "ftp://", "file://", "data:")):
        raise ImageError(
            "expected the path of an image on this machine, got a web address: download the image first, "
            "geoexplain downloads nothing itself."
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
        # Decoders raise a dozen kinds of exception on hostile files; to the user all of them mean the same.
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
    # A damaged EXIF block does not affect the pixels, so it is ignored.
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
    # A copy would keep the info dictionary, and with it EXIF, GPS and colour profile; a new image has none.
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
    # This form of the condition also refuses NaN, for which every comparison is false.
    if not (array.min() >= 0 and array.max() <= 1):
        raise ImageError(
            f"{name}: expected float samples in 0–1, got {array.min():g} to {array.max():g}: divide by the largest "
            "possible value first."
        )
    return np.rint(array.astype(np.float64) * 255).astype(np.uint8)
