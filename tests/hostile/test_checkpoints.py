"""Model files made to do harm: no code runs, memory stays small, the refusal is one sentence with the file's name."""

import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from geoexplain.errors import CheckpointError
from geoexplain.locator.checkpoints.cells import cells_file
from geoexplain.locator.checkpoints.description import FORMAT
from geoexplain.locator.checkpoints.native import describe, load_geoexplain
from geoexplain.locator.model import GeoModel
from geoexplain.locator.zoo import load_model
from tests.locator.models import saved, small_model

EXTENSIONS = ("safetensors", "pt", "ckpt", "bin")


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self) -> tuple:
        return os.system, (f"touch '{self.canary}'",)


def header(tensors: dict, body: bytes = b"", **description: object) -> bytes:
    described = {**describe(small_model()), **description}
    metadata = {"format": FORMAT, "description": json.dumps(described)}
    text = json.dumps({"__metadata__": metadata, **tensors}).encode()
    return struct.pack("<Q", len(text)) + text + body


def giant(size: int) -> dict:
    return {"head.mixture_weights.weight": {"dtype": "F32", "shape": [size, 1280], "data_offsets": [0, size * 5120]}}


def plain_pickle(good: bytes, canary: Path) -> bytes:
    return pickle.dumps(Payload(canary))


def torch_zip(good: bytes, canary: Path) -> bytes:
    path = canary.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"state_dict": Payload(canary)}))
        archive.writestr("archive/version", "3\n")
    return path.read_bytes()


def numpy_objects(good: bytes, canary: Path) -> bytes:
    path = canary.with_suffix(".npy")
    np.save(path, np.array([Payload(canary)], dtype=object), allow_pickle=True)
    return path.read_bytes()


def pickle_in_the_description(good: bytes, canary: Path) -> bytes:
    return header({}, name=pickle.dumps(Payload(canary)).hex(), architecture="__import__('os').system('touch x')")


HOSTILE: dict[str, Callable[[bytes, Path], bytes]] = {
    "pickle": plain_pickle,
    "torch zip": torch_zip,
    "object array": numpy_objects,
    "code in the description": pickle_in_the_description,
    "empty": lambda good, canary: b"",
    "half": lambda good, canary: good[: len(good) // 2],
    "no header": lambda good, canary: good[:8],
    "noise": lambda good, canary: np.random.default_rng(0).bytes(5000),
    "header of 2^63 bytes": lambda good, canary: struct.pack("<Q", 2**63) + good[8:],
    "tensor of 5 TB": lambda good, canary: header(giant(2**30)),
    "tensor of 2^62 rows": lambda good, canary: header(
        {"a": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 16]}}, b"\0" * 16
    ),
    "brackets in brackets": lambda good, canary: deep_description(),
    "overlapping tensors": lambda good, canary: header(
        {k: {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} for k in ("a", "b")}, b"\0" * 16
    ),
    "largest network": lambda good, canary: header({}, architecture="efficientnet_b8"),
    "html": lambda good, canary: b"<!doctype html><title>404 Not Found</title>" + b" " * 400,
}


def deep_description() -> bytes:
    text = json.dumps({"__metadata__": {"format": FORMAT, "description": "[" * 200_000}}).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_in_one_sentence(tmp_path: Path, kind: str, extension: str) -> None:
    good = saved(small_model(), tmp_path).read_bytes()
    canary, file = tmp_path / "canary", tmp_path / f"model.{extension}"
    file.write_bytes(HOSTILE[kind](good, canary))
    cells_file(file).write_bytes(cells_file(tmp_path / "small.safetensors").read_bytes())
    with pytest.raises(CheckpointError) as refusal:
        load_model(file, "cpu")
    assert not canary.exists()
    message = str(refusal.value)
    assert "expected" in message or "is missing" in message
    assert "\n" not in message
    assert len(message) < 2000
    assert "Traceback" not in message


def test_the_payload_would_have_worked(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Payload(tmp_path / "canary")))
    assert (tmp_path / "canary").exists()


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    file = saved(small_model(), tmp_path)
    whole = file.read_bytes()
    for share in np.linspace(0, 0.999, 25):
        file.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(CheckpointError, match=r"small\.safetensors"):
            load_geoexplain(file, "cpu")


def test_flipped_bytes_are_refused_or_leave_finite_numbers(tmp_path: Path) -> None:
    file, rng = saved(small_model(), tmp_path), np.random.default_rng(1)
    whole = file.read_bytes()
    header_bytes = 8 + struct.unpack("<Q", whole[:8])[0]
    for _ in range(60):
        broken = bytearray(whole)
        for place in rng.integers(0, header_bytes, 3):
            broken[place] = rng.integers(0, 256)
        file.write_bytes(broken)
        model = loaded_or_refused(file)
        assert model is None or all(torch.isfinite(p).all() for p in model.network.parameters())


def loaded_or_refused(file: Path) -> GeoModel | None:
    try:
        return load_geoexplain(file, "cpu")
    except CheckpointError:
        return None


def test_a_folder_and_a_pipe_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(CheckpointError, match=f"{name}.safetensors"):
            load_model(tmp_path / f"{name}.safetensors")


MEASURE = """
import resource, sys
from pathlib import Path
from geoexplain.errors import CheckpointError
from geoexplain.locator.zoo import load_model

load_model(Path(sys.argv[1]), "cpu")  # so that what is imported late is imported
for file in sys.argv[2:]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        load_model(Path(file), "cpu")
    except CheckpointError:
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_a_small_file_does_not_ask_for_much_memory(tmp_path: Path) -> None:
    good = saved(small_model(), tmp_path)
    bombs = {
        "network": header({}, architecture="efficientnet_b8"),  # 340 MB of weights
        "tensor": header(giant(2**30)),
        "cells": header({}, architecture="efficientnet_b0"),  # with 200,000 cells 1 GB of weights
    }
    for name, content in bombs.items():
        (tmp_path / f"{name}.safetensors").write_bytes(content)
        (tmp_path / f"{name}.cells.csv").write_bytes(cells_file(good).read_bytes())
    (tmp_path / "cells.cells.csv").write_text("label,latitude,longitude\n" + "a,1,2\n" * 200_000)
    files = [str(good), *(str(tmp_path / f"{name}.safetensors") for name in bombs)]
    result = subprocess.run([sys.executable, "-c", MEASURE, *files], capture_output=True, text=True, check=True)
    grown_mb = [float(line) for line in result.stdout.split()]
    assert len(grown_mb) == len(bombs)
    assert max(grown_mb) < 100


def test_nan_in_any_tensor_is_found(tmp_path: Path) -> None:
    file = saved(small_model(), tmp_path)
    with_description = {"format": FORMAT, "description": json.dumps(describe(small_model()))}
    for key in ("backbone.stem.0.weight", "backbone.head.1.running_var", "head.mixture_weights.bias"):
        tensors = load_file(file)
        tensors[key].view(-1)[-1] = torch.nan
        save_file(tensors, tmp_path / "nan.safetensors", metadata=with_description)
        cells_file(tmp_path / "nan.safetensors").write_bytes(cells_file(file).read_bytes())
        with pytest.raises(CheckpointError, match=rf"nan\.safetensors: key '{key}' holds NaN"):
            load_geoexplain(tmp_path / "nan.safetensors", "cpu")


def test_a_variance_below_zero_is_found(tmp_path: Path) -> None:
    file = saved(small_model(), tmp_path)
    tensors = load_file(file)
    tensors["backbone.head.1.running_var"][0] = -1
    save_file(tensors, file, metadata={"format": FORMAT, "description": json.dumps(describe(small_model()))})
    with pytest.raises(CheckpointError, match=r"key 'backbone\.head\.1\.running_var': expected variances"):
        load_geoexplain(file, "cpu")
