"""Recipes from which a worker opens the same model and images: names, paths and settings in place of tensors."""

from dataclasses import dataclass
from pathlib import Path

import torch

from geoexplain.evaluation.pictures import Source, photo_source, view_source
from geoexplain.imagery.earth import load_imagery
from geoexplain.locator.model import GeoModel
from geoexplain.locator.zoo import load_model
from geoexplain.photos import read_manifest


@dataclass(frozen=True)
class Views:
    """Random views of whole-earth imagery; see `view_source`."""

    files: tuple[Path, ...]
    views: int
    footprint_km: tuple[float, float] = (500.0, 2000.0)
    rotation_deg: float = 30.0
    seed: int = 0


@dataclass(frozen=True)
class Photos:
    """The photos of a manifest, whose files lie in `images`, decoded by `threads`; see `photo_source`."""

    manifest: Path
    images: Path
    threads: int | None = None


@dataclass(frozen=True)
class Recipe:
    """A model and a set of images.

    model         a name that `geoexplain models` lists, or the path of a file
    images        Views or Photos
    device        device of the model; None: the GPU if there is one
    hierarchical  as for `load_model`
    """

    model: str
    images: Views | Photos
    device: str | None = None
    hierarchical: bool | None = None

    def open(self, number: int = 0) -> tuple[GeoModel, Source]:
        """Open the model and the images for worker `number`; with several GPUs, "cuda" assigns them in turn.

        Raises CheckpointError, ImageError or DataError if the model, the manifest or the images are missing.
        """
        device = self.device
        if device == "cuda" and number:
            device = f"cuda:{number % max(1, torch.cuda.device_count())}"
        if isinstance(self.images, Photos):
            manifest = read_manifest(self.images.manifest, self.images.images)
            model = load_model(self.model, device, hierarchical=self.hierarchical)
            return model, photo_source(manifest, self.images.images, model.preprocess, workers=self.images.threads)
        model = load_model(self.model, device, hierarchical=self.hierarchical)
        return model, view_source(
            load_imagery(self.images.files, model.device),
            model.preprocess,
            views=self.images.views,
            footprint_km=self.images.footprint_km,
            rotation_deg=self.images.rotation_deg,
            seed=self.images.seed,
        )
