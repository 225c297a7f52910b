"""Fingerprints, which show whether two evaluations use the same model and the same photos."""

import hashlib
import json

import torch

from geoexplain.evaluation.record import PhotoResult
from geoexplain.locator.heads import MultiPartitionHead
from geoexplain.locator.model import GeoModel
from geoexplain.photos import Manifest


def model_fingerprint(model: GeoModel) -> str:
    """Return the SHA-256, in hexadecimal, of all weights, cells and settings that affect a model's answers."""
    digest = hashlib.sha256()
    settings = [repr(model.preprocess), model.refine_km, model.partition.labels, model.partition.centers_deg.tolist()]
    if isinstance(model.head, MultiPartitionHead) and model.head.product:
        settings.append("f*")  # the same weights give other answers
    if model.sigma_km is not None:
        settings.append(["sigma_km", model.sigma_km])
    digest.update(json.dumps(settings).encode())
    for module in (model.network, model.embedder):
        for name, tensor in module.state_dict().items() if module is not None else ():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def manifest_fingerprint(photos: tuple[PhotoResult, ...], manifest: Manifest) -> str:
    """Return the SHA-256, in hexadecimal, of the photos, files and true positions in order, and of unmatched names."""
    rows = [[photo.id, photo.file, photo.lat_deg, photo.lon_deg] for photo in photos]
    return hashlib.sha256(json.dumps([rows, manifest.missing, manifest.unknown]).encode()).hexdigest()
