"""Tuned weights next to a model: they are read back; invalid files and those of another model are refused."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from geoexplain.errors import CheckpointError
from geoexplain.locator.checkpoints.native import load_geoexplain
from geoexplain.locator.tuned import (
    LARGEST_BYTES,
    HeldOut,
    Interval,
    StageWeights,
    load_tuned,
    read_tuned,
    tuned_file,
    write_tuned,
)
from tests.locator.models import saved, small_model

COUNTS = {"stage": 3, "block": 5}
GAINS = {"grad-cam": Interval(0.02, 0.01, 0.03), "gaussian": Interval(-0.01, -0.04, 0.02)}
HELD_OUT = HeldOut("150 other views", 150, "insertion-deletion@50", Interval(0.4, 0.35, 0.45), GAINS)
FOUND = StageWeights(
    "grad-cam",
    "stage",
    "probability",
    "max",
    (0.0, 0.25, 1.0),
    "insertion-deletion@12",
    "48 views",
    48,
    HELD_OUT,
    replace(HELD_OUT, objective="road@5"),
)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "small.safetensors"
    file.write_bytes(b"as good as weights")
    return file


def test_what_is_written_is_read(weights: Path) -> None:
    assert tuned_file(weights) == weights.parent / "small.tuned.json"
    assert load_tuned(weights, COUNTS) == (None, "")
    write_tuned(tuned_file(weights), FOUND, weights)
    assert load_tuned(weights, COUNTS) == (FOUND, "")
    told = json.loads(tuned_file(weights).read_text(encoding="utf-8"))
    # sha256sum of the bytes above
    assert told["weights_sha256"] == "84db54d399a45dd99f511699a095f8beb4b9c0b5def336f7a60b053d42fb9b3b"
    assert told["held_out"]["gains"]["grad-cam"] == {"mean": 0.02, "low": 0.01, "high": 0.03}


def test_a_file_from_before_the_cross_check_is_read(weights: Path) -> None:
    write_tuned(tuned_file(weights), FOUND, weights)
    told = json.loads(tuned_file(weights).read_text(encoding="utf-8"))
    del told["cross_check"]
    tuned_file(weights).write_text(json.dumps(told), encoding="utf-8")
    assert load_tuned(weights, COUNTS) == (replace(FOUND, cross_check=None), "")


def test_weights_tuned_for_another_version_of_the_model_are_not_used(tmp_path: Path) -> None:
    model = small_model()
    file = saved(model, tmp_path)
    count = len(model.backbone.stage_lengths)
    found = StageWeights("grad-cam", "stage", "logit", "sum", (1.0,) * count, "adcc", "1 image", 1)
    write_tuned(tuned_file(file), found, file)
    assert load_geoexplain(file, "cpu").tuned == found
    saved(small_model(seed=8), tmp_path)
    other = load_geoexplain(file, "cpu")
    assert other.tuned is None
    assert other.untuned.startswith(
        "small.tuned.json: expected weights tuned for the present version of small.safetensors"
    )
    tuned_file(file).write_text("{")
    damaged = load_geoexplain(file, "cpu")
    assert (damaged.tuned, damaged.name) == (None, "small")
    assert "got another kind of file: tune again" in damaged.untuned


def changed(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        *folders, last = key.split(".")
        for folder in folders:
            data = data[folder]
        data[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (changed("cross_check", 3), "expected 'cross_check' to be null or an object, got '3'"),
        (changed("cross_check.images", 0), "expected 'images' to be a whole number from 1 to a billion, got '0'"),
        (changed("format", "geoexplain-tuned/2"), "got another kind of file"),
        (changed("method", "Grad CAM"), "expected 'method' to be a name of small letters, digits, + and -"),
        (changed("method", ["grad-cam"]), "expected 'method'"),
        (changed("level", "layer"), "expected 'level'"),
        (changed("score", None), "expected 'score'"),
        (changed("how", "<script>"), "expected 'how'"),
        (changed("weights", []), "expected 'weights'"),
        (changed("weights", [0, 0, 0]), "one of them above 0"),
        (changed("weights", [1, 1, -0.1]), "expected 'weights'"),
        (changed("weights", [1, 1, 2.01]), "numbers from 0 to 2"),
        (changed("weights", [1, 1, float("nan")]), "expected 'weights'"),
        (changed("weights", [1, 1, True]), "expected 'weights'"),
        (changed("weights", [1, 1, "1"]), "expected 'weights'"),
        (changed("weights", [1, 1]), "expected 3 weights, one per stage of the model, got 2"),
        (changed("level", "block"), "expected 5 weights, one per block of the model, got 3"),
        (changed("objective", "x" * 1001), "at most 1,000 letters"),
        (changed("tuned_on", "two\nlines"), "expected 'tuned_on'"),
        (changed("tuned_on", "\u202eright to left"), "expected 'tuned_on'"),
        (changed("images", 0), "expected 'images'"),
        (changed("images", 4.0), "expected 'images'"),
        (changed("weights_sha256", "0" * 63), "expected 'weights_sha256'"),
        (changed("weights_sha256", "0" * 64), "another version"),
        (changed("held_out", []), "expected 'held_out'"),
        (changed("held_out", {}), "expected 'on', got none"),
        (changed("held_out.value", {"mean": 1}), "expected 'value'"),
        (changed("held_out.value", {"mean": 1e9, "low": 0, "high": 0}), "expected 'value'"),
        (changed("held_out.gains", {"grad-cam": 0.1}), "expected 'gains'"),
        (changed("held_out.gains", {str(i): {"mean": 0, "low": 0, "high": 0} for i in range(101)}), "'gains'"),
        (lambda data: data.pop("how"), "expected 'how', got none"),
    ],
)
def test_invalid_values_are_refused_by_name(
    weights: Path, change: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    file = tuned_file(weights)
    write_tuned(file, FOUND, weights)
    data = json.loads(file.read_text(encoding="utf-8"))
    change(data)
    file.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(CheckpointError) as caught:
        read_tuned(file, weights, COUNTS)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("small.tuned.json: expected")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("content", [b"", b"[" * 50_000, b"null", b"\xff\xfe", b'{"format": 1}', b"[]"])
def test_other_files_are_refused(weights: Path, content: bytes) -> None:
    tuned_file(weights).write_bytes(content)
    with pytest.raises(CheckpointError, match="got another kind of file"):
        read_tuned(tuned_file(weights), weights, COUNTS)


def test_neither_a_huge_file_nor_a_pipe_is_read(weights: Path) -> None:
    with tuned_file(weights).open("wb") as file:
        file.truncate(LARGEST_BYTES + 1)
    with pytest.raises(CheckpointError, match="expected at most 65,536 bytes, got 65,537"):
        read_tuned(tuned_file(weights), weights, COUNTS)
    tuned_file(weights).unlink()
    os.mkfifo(tuned_file(weights))
    assert load_tuned(weights, COUNTS) == (None, "")
    with pytest.raises(CheckpointError, match="got a device or a pipe"):
        read_tuned(tuned_file(weights), weights, COUNTS)
