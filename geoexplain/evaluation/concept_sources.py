"""Sources of the concepts in a set of images: land cover from map and colours, painted masks, or SegFormer."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.evaluation.pictures import Picture
from geoexplain.explainer.labeled_mask import MAX_LEGEND_BYTES, read_labeled_mask, read_legend
from geoexplain.explainer.natural_concepts import NaturalConcepts, natural_concepts
from geoexplain.explainer.segformer import SegFormer, load_segformer
from geoexplain.explainer.segmenters import LandCover, Masks
from geoexplain.files.reading import read_bytes
from geoexplain.images import Preprocess, open_image

PLACES = TRUTH, PREDICTION = ("truth", "prediction")
"""The position of a view on the map: the true or the predicted one."""

MASK_SUFFIX = ".png"


class ConceptSource(Protocol):
    """Finds concepts in the images of a set. Frozen plain data, since workers receive it."""

    def settings(self) -> dict[str, Any]:
        """Return everything that affects the masks, as plain data. Raises DataError if a required file is missing."""
        ...

    def masks(self, preprocess: Preprocess, picture: Picture, predicted_deg: tuple[float, float]) -> Masks:
        """Return masks (H, W) of a picture with a tensor (1, 3, H, W). Raises a GeoExplainError if there are none."""
        ...


@dataclass(frozen=True)
class LandCoverMasks:
    """The land cover of views, and the concepts of Natural Earth's files, if their folder is given.

    at           one of PLACES
    naturalearth the folder; see natural_concepts()
    """

    at: str = TRUTH
    naturalearth: Path | None = None

    def __post_init__(self) -> None:
        if self.at not in PLACES:
            raise DataError(f"expected the place of a view out of {', '.join(PLACES)}, got {self.at!r}.")

    def settings(self) -> dict[str, Any]:
        """See ConceptSource."""
        sha256 = None if self.naturalearth is None else _natural_concepts(self.naturalearth).sha256
        return {"concepts": "land cover", "at": self.at, "naturalearth_sha256": sha256}

    def masks(self, preprocess: Preprocess, picture: Picture, predicted_deg: tuple[float, float]) -> Masks:
        """See ConceptSource; a picture without a footprint is segmented by colour only."""
        segmenter = LandCover() if self.naturalearth is None else _natural_concepts(self.naturalearth)
        position = picture.footprint
        if position is not None and self.at == PREDICTION:
            position = replace(position, lat_deg=predicted_deg[0], lon_deg=predicted_deg[1])
        return segmenter(rgb_image(picture, preprocess), position)


@dataclass(frozen=True)
class PaintedMasks:
    """Hand-painted masks: `masks_in`/a/b.png for the photo a/b.jpg in `images`, with one legend for all."""

    masks_in: Path
    legend: Path
    images: Path

    def settings(self) -> dict[str, Any]:
        """See ConceptSource. Masks are identified by name and size, without reading them."""
        if not self.masks_in.is_dir():
            raise DataError(f"--masks {self.masks_in}: expected a folder of masks, found none: check the path.")
        read_legend(self.legend)
        files = sorted(self.masks_in.rglob(f"*{MASK_SUFFIX}"))
        sizes = [(str(file.relative_to(self.masks_in)), file.stat().st_size) for file in files]
        return {
            "concepts": "painted",
            "legend_sha256": hashlib.sha256(read_bytes(self.legend, MAX_LEGEND_BYTES)).hexdigest(),
            "masks_sha256": hashlib.sha256(repr(sizes).encode()).hexdigest(),
        }

    def masks(self, preprocess: Preprocess, picture: Picture, predicted_deg: tuple[float, float]) -> Masks:  # noqa: ARG002
        """See ConceptSource."""
        assert picture.file is not None
        mask = (self.masks_in / picture.file).with_suffix(MASK_SUFFIX)
        photo = open_image(self.images / picture.file)
        return read_labeled_mask(mask, self.legend, photo, preprocess)(preprocess.view(photo))


@dataclass(frozen=True)
class SegFormerMasks:
    """The concepts that a SegFormer segments; see load_segformer()."""

    model: str
    allow_download: bool = False

    def settings(self) -> dict[str, Any]:
        """See ConceptSource."""
        loaded = _segformer(self.model, self.allow_download)
        return {
            "concepts": "segformer",
            "segformer": self.model,
            "labels": list(loaded.labels),
            "weights_sha256": loaded.sha256,
            "preprocess": asdict(loaded.preprocess),
        }

    def masks(self, preprocess: Preprocess, picture: Picture, predicted_deg: tuple[float, float]) -> Masks:  # noqa: ARG002
        """See ConceptSource."""
        return _segformer(self.model, self.allow_download)(rgb_image(picture, preprocess))


def rgb_image(picture: Picture, preprocess: Preprocess) -> Image.Image:
    """Return the 8-bit RGB image that a picture's tensor (1, 3, H, W) was normalised from."""
    assert picture.tensor is not None
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preprocess.mean, preprocess.std))
    rgb = (picture.tensor[0].detach().cpu() * std + mean).clamp(0, 1) * 255
    return Image.fromarray(rgb.round().byte().permute(1, 2, 0).contiguous().numpy())


@lru_cache(maxsize=1)
def _natural_concepts(folder: Path) -> NaturalConcepts:
    return natural_concepts(folder)


@lru_cache(maxsize=1)
def _segformer(model: str, allow_download: bool) -> SegFormer:
    return load_segformer(model, allow_download=allow_download)


def without_empty(masks: Mapping[str, np.ndarray]) -> Masks:
    """Return the masks that are not empty."""
    return {concept: mask for concept, mask in masks.items() if mask.any()}
