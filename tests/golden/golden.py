"""Deterministic weights and images behind the golden vectors.

The original research code was run once with these weights on these images; its outputs are the `.npz` files.
Rebuild the same weights from the `.json` key lists, load them with your loader, and compare.

    spec = json.load(open("certh_b4.json"))          # {"seed": ..., "files": {file name: {key: {"shape", "dtype"}}}}
    state = state_dict(spec["seed"], spec["files"]["mvmf_head.pt"])
    rgb = image(spec["seed"], 300, 400)               # uint8 (300, 400, 3)

certh_b4.npz, per image tag "<h>x<w>" (original size, before preprocessing):
  input_shape, input_chw_mean_std    the preprocessed tensor
  features (1792,), probs (257,), embedding (1792,), prediction (2,) lat/lon,
  prediction_density (5,)            at 1, 25, 200, 750, 2500 km
  gradcam_blocks_25x25 (32, 25, 25)  Grad-CAM of each MBConv block for the top-1 probability: ReLU, bilinear to input
                                     size, corners aligned, then adaptive average pooling to 25x25; raw magnitude
  gradcam_blocks_max (32,)           maximum of each upsampled map
  combicam_minmax_25x25              sum of the 32 upsampled maps, min-max scaled, then pooled

semp_b4.npz: M (43, 3), the (coarse, middle, fine) index of every fine cell; per image
  {coarse,middle,fine}_probs_5crops (5, n), and hierarchy_max, hierarchy_mean (43,): the product along the hierarchy of
  the per-class maximum (released code) or mean (paper) over crops.
Tolerances that the original and a timm-based re-implementation meet on a CPU: 1e-4 relative on features and
probabilities, 1e-3 of each map's maximum on CAMs.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch


def _rng(seed: str, name: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "little")))


def tensor(seed: str, key: str, shape: Sequence[int]) -> np.ndarray:
    """The float64 values (int64 for the batch counter) of one state-dict entry."""
    rng, leaf = _rng(seed, key), key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.array(1000, dtype=np.int64)
    if leaf == "running_var":
        return rng.uniform(1.0, 2.0, shape)
    if leaf == "running_mean":
        return rng.normal(0, 0.1, shape)
    if leaf == "mus":
        return np.stack([np.degrees(np.arcsin(rng.uniform(-1, 1, shape[1]))), rng.uniform(-180, 180, shape[1])])
    if leaf == "kappas":
        return rng.normal(0, 1, shape)
    if leaf == "bias":
        return rng.normal(0, 0.2, shape)
    if leaf == "weight" and len(shape) == 1:
        return rng.uniform(0.8, 1.2, shape)
    gain = 1.5 if len(shape) == 4 else 30.0
    return rng.normal(0, (gain / int(np.prod(shape[1:]))) ** 0.5, shape)


def state_dict(seed: str, entries: Mapping[str, Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    """A torch state dict for {key: {"shape": [...], "dtype": "float32" | "float64" | "int64"}}."""
    return {
        key: torch.from_numpy(np.ascontiguousarray(tensor(seed, key, tuple(e["shape"]))))
        .to(getattr(torch, e["dtype"]))
        .reshape(e["shape"])
        for key, e in entries.items()
    }


def image(seed: str, height: int, width: int) -> np.ndarray:
    """uint8 (height, width, 3): a sum of six plane waves per channel."""
    rng = _rng(seed, f"image/{height}x{width}")
    yy, xx = np.mgrid[0:height, 0:width]
    out = np.zeros((height, width, 3))
    for c in range(3):
        for _ in range(6):
            fy, fx, phase = rng.uniform(0.5, 8), rng.uniform(0.5, 8), rng.uniform(0, 2 * np.pi)
            out[..., c] += np.sin(2 * np.pi * (fy * yy / height + fx * xx / width) + phase)
    out = (out - out.min()) / (out.max() - out.min())
    return (out * 255).round().astype(np.uint8)
