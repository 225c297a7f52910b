"""A gallery of photos whose similarity to one image is known beforehand."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import torch

from geoexplain.images import ImageSource, open_image
from geoexplain.locator.model import GeoModel


def features_of(model: GeoModel, image: ImageSource) -> torch.Tensor:
    return model.features(model.tensor(open_image(image)))  # (1, D)


def write_gallery(
    file: Path, model: GeoModel, image: ImageSource, similarity: Sequence[float], positions_deg: Sequence
) -> Path:
    """An HDF5 gallery in the original's layout: rows of the given similarity to an image, at the given places."""
    embedding = model.embedding(features_of(model, image))[0].double().cpu().numpy()
    noise = np.random.default_rng(0).standard_normal((len(similarity), len(embedding)))
    noise -= np.outer(noise @ embedding, embedding)  # at a right angle to the embedding
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    cosine = np.asarray(similarity, dtype=float)[:, None]
    with h5py.File(file, "w") as stored:
        stored["features"] = (cosine * embedding + np.sqrt(1 - cosine**2) * noise).astype(np.float32)
        stored["labels"] = np.asarray(positions_deg, dtype=np.float64)
    return file
