"""Weights in shards equal those of one file, to the last bit; shards of different models are refused."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from geoexplain.cli import main
from geoexplain.errors import CheckpointError, DataError
from geoexplain.locator import shards
from geoexplain.locator.checkpoints import FORMATS
from geoexplain.locator.checkpoints.native import load_geoexplain
from geoexplain.locator.checkpoints.splitting import split_model
from geoexplain.locator.gate import gate_file, write_gate
from geoexplain.locator.model import GeoModel
from geoexplain.locator.registry import remove_model
from geoexplain.locator.shards import index_file, open_weights, stored_models, weight_files, weights_sha256
from geoexplain.locator.tuned import tuned_file, write_tuned
from geoexplain.locator.zoo import BUNDLED, load_model, model_file, model_folder, models, weights_file
from tests.locator.gates import red_gate
from tests.locator.models import saved, small_model
from tests.locator.test_tuned import FOUND
from tests.repository import repository_files
from tests.test_architecture import ROOT

PART = 80_000
TUNED = replace(FOUND, weights=(0.0, 0.25, 1.0, 0.0, 2.0))
MIB = 2**20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "from"
    folder.mkdir()
    return saved(small_model(), folder)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEOEXPLAIN_HOME", str(tmp_path / "home"))


def test_shards_hold_every_bit_of_the_file(file: Path) -> None:
    whole, mode = load_file(file), file.stat().st_mode
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    before = load_geoexplain(file, "cpu").network.state_dict()
    parts = split_model(file, PART)
    assert len(parts) > 2
    assert [part.name for part in parts] == [
        f"small-{number:05d}-of-{len(parts):05d}.safetensors" for number in range(1, len(parts) + 1)
    ]
    assert not file.exists()
    assert weight_files(file) == parts
    assert all(part.stat().st_size < PART and part.stat().st_mode == mode for part in parts)
    index = json.loads(index_file(file).read_text(encoding="utf-8"))
    found = {}
    for part in parts:
        with safe_open(part, "pt") as opened:
            assert opened.metadata() == metadata
        tensors = load_file(part)
        assert {index["weight_map"][key] for key in tensors} == {part.name}
        assert not tensors.keys() & found.keys()
        found |= tensors
    assert found.keys() == whole.keys() == index["weight_map"].keys()
    assert index["metadata"] == {"total_size": sum(value.nbytes for value in whole.values())}
    for key, value in whole.items():
        assert found[key].dtype == value.dtype
        assert found[key].shape == value.shape
        assert found[key].numpy().tobytes() == value.numpy().tobytes()
    after = load_geoexplain(file, "cpu").network.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_gate_and_tuned_weights_of_the_file_belong_to_its_shards(file: Path) -> None:
    write_gate(replace(red_gate(), weights=np.ones(32, dtype=np.float32)), file)
    write_tuned(tuned_file(file), TUNED, file)
    card = file.with_suffix(".card.json")
    card.write_text(json.dumps({"bytes": file.stat().st_size, "cells": 5}, indent=2), encoding="utf-8")
    old, texts = weights_sha256(file), [gate_file(file).read_text(), tuned_file(file).read_text()]
    assert old == hashlib.sha256(file.read_bytes()).hexdigest()
    parts = split_model(file, PART)
    new = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()
    assert weights_sha256(file) == new != old
    model = load_geoexplain(file, "cpu")
    assert (model.untuned, model.tuned, model.ungated) == ("", TUNED, "")
    assert model.gate is not None
    # Nothing else in them has changed.
    assert [gate_file(file).read_text(), tuned_file(file).read_text()] == [text.replace(old, new) for text in texts]
    assert all(old in text for text in texts)
    assert json.loads(card.read_text(encoding="utf-8")) == {
        "bytes": sum(part.stat().st_size for part in parts),
        "cells": 5,
    }


def test_digests_of_other_weights_are_not_changed(file: Path) -> None:
    write_tuned(tuned_file(file), TUNED, saved(small_model(8), file.parent))
    other = tuned_file(file).read_text()
    saved(small_model(), file.parent)
    split_model(file, PART)
    assert tuned_file(file).read_text() == other
    assert "another version" in load_geoexplain(file, "cpu").untuned


def test_shards_are_read_by_the_path_of_the_file_of_the_index_and_by_a_folder(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = load_model(file, "cpu").network.state_dict()["head.mixture_weights.weight"]
    assert main(["models", "split", str(file), "--max-mib", "1"]) == 0
    assert f"{file.name}.index.json: which shard holds what" in capsys.readouterr().out
    assert stored_models(file.parent) == [file]
    assert weights_file(index_file(file)) == file
    assert index_file(file).is_file()
    assert FORMATS["geoexplain"].load(file.parent, "mine", None).name == "small"
    shutil.copytree(file.parent, model_folder("small"))
    assert next(row for row in models() if row.name == "small").file == index_file(model_file("small"))
    for way in (file, str(index_file(file)), "small"):
        assert torch.equal(load_model(way, "cpu").network.state_dict()["head.mixture_weights.weight"], expected)
    remove_model("small")
    assert [row.name for row in models() if row.ready] == [BUNDLED]


def test_a_model_that_is_written_again_is_one_file(file: Path) -> None:
    split_model(file, PART)
    assert main(["models", "split", str(file)]) == 2
    saved(small_model(8), file.parent)
    assert weight_files(file) == (file,)
    assert sorted(file.parent.glob("*.safetensors*")) == [file]


def test_a_tensor_that_fits_no_shard_is_named_and_nothing_changes(file: Path) -> None:
    with pytest.raises(DataError, match=r"small\.safetensors: expected tensors that fit into a shard of .* got '"):
        split_model(file, 40_000)
    assert sorted(file.parent.glob("*.safetensors*")) == [file]


# ---- untrusted files


def edit_index(file: Path, change: Callable[[dict], object]) -> None:
    index = json.loads(index_file(file).read_text(encoding="utf-8"))
    change(index)
    index_file(file).write_text(json.dumps(index), encoding="utf-8")


def add_to_a_part(file: Path, key: str) -> None:
    part = weight_files(file)[-1]
    with safe_open(part, "pt") as opened:
        metadata = opened.metadata()
    save_file(load_file(part) | {key: torch.zeros(2)}, part, metadata=metadata)


def part_of_another_model(file: Path) -> None:
    part = weight_files(file)[1]
    save_file(load_file(part), part, metadata={"format": "geoexplain/1", "description": "{}"})


SOMETHING_ELSE = r"small\.safetensors\.index\.json: expected the index of a model's shards"
SEVERAL = r"small\.safetensors\.index\.json: expected small-00001-of-\d{5}\.safetensors, .*got shards of several"
HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no JSON": (lambda file: index_file(file).write_bytes(b"\x80\x04"), SOMETHING_ELSE),
    "deep": (lambda file: index_file(file).write_text("[" * 200_000), SOMETHING_ELSE),
    "list": (lambda file: index_file(file).write_text("[]"), SOMETHING_ELSE),
    "no map": (lambda file: index_file(file).write_text("{}"), SOMETHING_ELSE),
    "empty map": (lambda file: index_file(file).write_text('{"weight_map": {}}'), SOMETHING_ELSE),
    "outside": (
        lambda file: edit_index(file, lambda i: i["weight_map"].update(a="../secret.safetensors")),
        SOMETHING_ELSE,
    ),
    "absolute": (lambda file: edit_index(file, lambda i: i["weight_map"].update(a="/etc/passwd")), SOMETHING_ELSE),
    "numbers": (lambda file: edit_index(file, lambda i: i["weight_map"].update(a=1)), SOMETHING_ELSE),
    "large": (lambda file: index_file(file).write_text(" " * (4 * MIB + 1)), r"index\.json: expected at most"),
    "no part": (
        lambda file: weight_files(file)[0].unlink(),
        r"index\.json: expected its shard small-00001-of-\d{5}\.s",
    ),
    "pipe": (
        lambda file: (part := weight_files(file)[0], part.unlink(), os.mkfifo(part)),
        r"index\.json: expected its shard small-00001",
    ),
    "cut part": (
        lambda file: weight_files(file)[1].write_bytes(weight_files(file)[1].read_bytes()[:-1]),
        r"small-00002-of-\d{5}\.safetensors: expected a safetensors file",
    ),
    "more listed": (
        lambda file: edit_index(file, lambda i: i["weight_map"].update(extra=weight_files(file)[0].name)),
        SEVERAL,
    ),
    "fewer listed": (lambda file: edit_index(file, lambda i: i["weight_map"].popitem()), SEVERAL),
    "more stored": (lambda file: add_to_a_part(file, "extra"), SEVERAL),
    "stored twice": (lambda file: add_to_a_part(file, next(iter(load_file(weight_files(file)[0])))), SEVERAL),
    "another's part": (part_of_another_model, SEVERAL),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_shards_of_different_models_are_refused(file: Path, kind: str) -> None:
    split_model(file, PART)
    change, sentence = HOSTILE[kind]
    change(file)
    with pytest.raises(CheckpointError, match=sentence) as refusal:
        load_model(file, "cpu")
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 1000


def test_shards_of_equal_names_from_two_models_are_refused(tmp_path: Path, file: Path) -> None:
    (tmp_path / "other").mkdir()
    other = saved(other_model(), tmp_path / "other")
    for one in (file, other):
        split_model(one, PART)
    shutil.copy(weight_files(other)[0], weight_files(file)[0])
    with pytest.raises(CheckpointError, match=SEVERAL):
        load_model(file, "cpu")


def other_model() -> GeoModel:
    model = small_model(8)
    model.title = "Another"
    return model


# ---- shipped files


def test_no_file_of_the_repository_is_too_large_for_plain_git() -> None:
    files = [ROOT / name for name in repository_files()]
    assert set(weight_files(model_file(BUNDLED))) <= set(files)
    assert [file for file in files if file.stat().st_size >= 10 * MIB] == []
    assert shards.SHARD_BYTES <= 10 * MIB


def test_the_bundled_shards_are_those_of_one_file() -> None:
    with open_weights(model_file(BUNDLED)) as weights:
        digest = hashlib.sha256()
        for key in sorted(weights.parts):
            value = weights.parts[key].get_tensor(key)
            digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode() + value.numpy().tobytes())
    # Digest of the tensors in the released file, whose own SHA-256 begins with de2b1344.
    assert digest.hexdigest() == "6c96f79d3afd571be05f8e50816f1fb8f72c559fcccc54279085ce6fd5c5f8a2"
