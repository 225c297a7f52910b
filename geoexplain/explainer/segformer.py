"""Concepts in photos: semantic segmentation by SegFormer, as trained on ADE20K, with the package transformers."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from geoexplain.errors import DataError
from geoexplain.explainer.segmenters import Masks
from geoexplain.files.reading import read_bytes, sha256
from geoexplain.geography.footprint import Footprint
from geoexplain.images import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from geoexplain.words import printable

CONFIG, WEIGHTS, PREPROCESSING = "config.json", "model.safetensors", "preprocessor_config.json"
"""The only files that are read from a folder, or downloaded from the hub."""

LEAST_PX = 100
"""Smallest number of pixels, of the network's view, that a concept covers: fewer are mostly segmentation noise."""

USUAL_SIDE_PX = 512
LARGEST_SIDE_PX = 2048
MOST_LABELS = 10_000
LONGEST_NAME = 80
MAX_JSON_BYTES = 2**20


@dataclass(frozen=True, eq=False)
class SegFormer:
    """A segmenter of photos: gives each pixel its most probable class by SegFormer (Xie et al., NeurIPS 2021).

    network     images (1, 3, h, w) → an object whose `logits` are (1, classes, h/4, w/4)
    labels      name of every class
    preprocess  the network's preprocessing; an image keeps its aspect ratio
    least_px    a concept that covers fewer pixels of the image is left out
    sha256      hash of the weights' file; "" if they come from no file
    """

    network: nn.Module
    labels: tuple[str, ...]
    preprocess: Preprocess
    least_px: int = LEAST_PX
    sha256: str = ""

    def __call__(self, image: Image.Image, position: Footprint | None = None) -> Masks:  # noqa: ARG002
        """Return masks (H, W) of the concepts found, in the order of the classes; classes of one name are one concept.

        Raises ImageError for an image that is not RGB.
        """
        weights = next(self.network.parameters())
        with torch.inference_mode():
            logits = self.network(self.preprocess.tensor(image).to(weights)).logits.float()
            # As in the authors' code, the class is chosen after interpolation, so that borders are smooth.
            upsampled = F.interpolate(logits, (image.height, image.width), mode="bilinear", align_corners=False)
            classes = upsampled[0].argmax(dim=0).cpu().numpy()
        masks: Masks = {}
        for number, label in enumerate(self.labels):
            mask = classes == number
            masks[label] = masks[label] | mask if label in masks else mask
        return {label: mask for label, mask in masks.items() if mask.sum() >= max(1, self.least_px)}


def load_segformer(
    source: str | Path, *, allow_download: bool = False, device: torch.device | str = "cpu", least_px: int = LEAST_PX
) -> SegFormer:
    """Load a SegFormer for semantic segmentation from a folder or, by its name, from the Hugging Face hub.

    source          a folder that holds config.json and model.safetensors, or a name such as "owner/model"
    allow_download  False: a name must have been downloaded before

    Reads weights as safetensors alone, and runs no code from the files. Raises DataError if the package transformers is
    missing, if there is no such folder or model, and if the model is damaged or no segmentation model.
    """
    try:
        import transformers  # noqa: PLC0415 - optional, and takes seconds to import
    except ImportError:
        raise DataError(
            "SegFormer: expected the package transformers, got none: install it with "
            'pip install "geoexplain[segformer]".'
        ) from None
    folder = _folder(source, allow_download)
    labels = _labels(_json(folder, CONFIG))
    preprocess = _preprocess(_json(folder, PREPROCESSING) if (folder / PREPROCESSING).exists() else {})
    if not (folder / WEIGHTS).is_file():
        raise DataError(f"SegFormer: expected a file {WEIGHTS}, got none: choose a model that comes as safetensors.")
    network, loading = _network(transformers, folder)
    if missing := sorted({*loading["missing_keys"], *loading["unexpected_keys"]}):
        raise _damaged(f"{len(missing)} of its weights are missing or unknown, such as {printable(missing[0])}")
    if not all(torch.isfinite(values).all() for values in network.state_dict().values()):
        raise _damaged("some of its weights are not finite")
    digest = sha256(folder / WEIGHTS)
    return SegFormer(network.eval().requires_grad_(False).to(device), labels, preprocess, least_px, digest)


def _network(transformers: Any, folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Load a folder with transformers; the second value lists missing and unknown weights."""
    with _silent(transformers):
        try:
            network, loading = transformers.SegformerForSemanticSegmentation.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                dtype=torch.float32,
            )
        except Exception:  # noqa: BLE001 - any exception means that the file is damaged or hostile
            raise _damaged("it could not be loaded") from None
    return network, loading


def _folder(source: str | Path, allow_download: bool) -> Path:
    if Path(source).is_dir():
        return Path(source)
    name = str(source)
    if isinstance(source, Path) or not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name, flags=re.ASCII):
        raise DataError(
            f"SegFormer: expected a folder, or a model of the hub such as owner/model, got {printable(name)!r}: "
            "check the path."
        )
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - comes with transformers
    from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: PLC0415

    files = [CONFIG, WEIGHTS, PREPROCESSING]
    try:
        return Path(snapshot_download(name, allow_patterns=files, local_files_only=not allow_download))
    except LocalEntryNotFoundError:
        if not allow_download:
            raise DataError(
                f"SegFormer: expected a folder, or a model that has been downloaded before, got {name!r}: "
                "allow the download, or give a folder."
            ) from None
    except Exception:  # noqa: BLE001, S110 - no such model, no permission, no network: reported below
        pass
    raise DataError(
        f"SegFormer: expected to download {name!r} from the Hugging Face hub, but it failed: check the name and the "
        "connection, or give a folder."
    )


def _json(folder: Path, name: str) -> dict[str, Any]:
    try:
        content = json.loads(read_bytes(folder / name, MAX_JSON_BYTES))
    except (ValueError, RecursionError):
        raise DataError(f"SegFormer: expected JSON in {name}, got something else: is the file damaged?") from None
    if not isinstance(content, dict):
        raise DataError(
            f"SegFormer: expected one JSON object in {name}, got a {type(content).__name__}: is the file damaged?"
        )
    return content


def _labels(config: dict[str, Any]) -> tuple[str, ...]:
    """Return the name of every class. Raises DataError for the configuration of another kind of model."""
    kind, made = config.get("model_type"), config.get("architectures")
    if kind != "segformer" or "SegformerForSemanticSegmentation" not in (made if isinstance(made, list) else []):
        raise DataError(
            "SegFormer: expected a SegFormer for semantic segmentation, got "
            f"{printable(str(made[0] if isinstance(made, list) and made else kind))}: choose one such as those trained "
            "on ADE20K."
        )
    if "quantization_config" in config:  # names the package that would unpack it
        raise DataError("SegFormer: expected plain weights, got quantised ones: choose another model.")
    names = config.get("id2label")
    if not isinstance(names, dict) or not 1 <= len(names) <= MOST_LABELS:
        raise DataError(
            f"SegFormer: expected 1 to {MOST_LABELS:,} names in id2label, got "
            f"{len(names) if isinstance(names, dict) else printable(str(names))}: complete {CONFIG}."
        )
    labels = [names.get(str(number)) for number in range(len(names))]
    if not all(isinstance(label, str) and label.strip() for label in labels):
        nameless = [number for number, label in enumerate(labels) if not (isinstance(label, str) and label.strip())]
        raise DataError(
            f"SegFormer: expected a name for every class from 0 to {len(labels) - 1}, got none for {nameless[0]}: "
            f"complete {CONFIG}."
        )
    return tuple(printable(str(label).strip(), LONGEST_NAME) for label in labels)


def _preprocess(settings: dict[str, Any]) -> Preprocess:
    """Return the preprocessing, with the size of the shorter side, since the authors keep the aspect ratio."""
    size = settings.get("size", USUAL_SIDE_PX)
    sides = list(size.values()) if isinstance(size, dict) else [size]
    mean, std = settings.get("image_mean", IMAGENET_MEAN), settings.get("image_std", IMAGENET_STD)
    numbers = [
        value
        for values in (sides, mean, std)
        for value in (values if isinstance(values, list | tuple) else [None])
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST_SIDE_PX
    ]
    if not sides or len(numbers) != len(sides) + 6 or min(sides) < 1:
        raise DataError(
            f"SegFormer: expected a size of 1 to {LARGEST_SIDE_PX} px and three means and deviations, got "
            f"{printable(str((sides, mean, std)))}: correct {PREPROCESSING}."
        )
    return Preprocess(int(min(sides)), tuple(map(float, mean)), tuple(map(float, std)))  # type: ignore[arg-type]


def _damaged(reason: str) -> DataError:
    return DataError(f"SegFormer: expected a whole model, got one of which {reason}: download it again.")


@contextmanager
def _silent(transformers: Any) -> Iterator[None]:
    """Suppress the progress bars and reports of loading."""
    logging = transformers.utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
