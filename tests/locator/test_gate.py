"""The gate: its statistics and scores worked out by hand; its file is read back, and invalid files are refused."""

import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from geoexplain.errors import CheckpointError, DataError
from geoexplain.explainer.explanation import explain, locate
from geoexplain.explainer.trace import trace
from geoexplain.locator.backbone import stage_channels
from geoexplain.locator.checkpoints.native import describe, load_geoexplain, save_geoexplain
from geoexplain.locator.gate import (
    LARGEST_BYTES,
    SMALLEST_DEVIATION,
    Gate,
    channel_statistics,
    gate_file,
    load_gate,
    read_gate,
    write_gate,
)
from geoexplain.locator.model import GeoModel, LocalizableRule
from geoexplain.locator.prediction import crop_logits, predict
from tests.explainer.networks import image_tensor, random_model
from tests.locator.gates import BLUE, RED, flat_picture, red_gate, red_model
from tests.locator.models import saved, small_model

CHANNELS = (2, 1, 3)
GATE = Gate(
    (1, 3),
    np.array([0.5, -1.25, 3, 0, 0.001, 1e-7, -2, 1, 1, 1], dtype=np.float32),
    -0.75,
    0.625,
    "a view of Earth from above",
    "views against pages",
    {"turned away: plain": 0.03, "others": 120},
)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "small.safetensors"
    file.write_bytes(b"as good as weights")
    return file


def test_statistics_by_hand() -> None:
    flat = torch.full((1, 1, 4, 4), 0.25)
    checkers = (torch.arange(6)[:, None] + torch.arange(4)) % 2  # half 0, half 1
    first = torch.cat([flat, 3 * flat], dim=1)  # (1, 2, 4, 4)
    second = checkers[None, None].float()  # (1, 1, 6, 4)
    found = channel_statistics([first, second])
    nothing = math.log(SMALLEST_DEVIATION)
    expected = [0.25, 0.75, nothing, nothing, 0.5, math.log(0.5 + SMALLEST_DEVIATION)]
    assert found.shape == (1, 6)
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)


def test_statistics_are_those_of_each_image() -> None:
    activation = torch.randn(5, 3, 7, 6, generator=torch.Generator().manual_seed(0))
    found = channel_statistics([activation]).double().numpy()
    values = activation.double().numpy().reshape(5, 3, -1)
    np.testing.assert_allclose(found[:, :3], values.mean(axis=-1), atol=1e-6)
    np.testing.assert_allclose(found[:, 3:], np.log(values.std(axis=-1) + SMALLEST_DEVIATION), atol=1e-5)
    assert channel_statistics([activation.half()]).dtype == torch.float32


def test_a_score_by_hand() -> None:
    gate = Gate((1,), np.array([1, -2], dtype=np.float32), 0.5, 0.7, "a test", "nothing", {})
    # 3 − 2 · 1 + 0.5 = 1.5
    assert gate.score(torch.tensor([3.0, 1.0])) == pytest.approx(1 / (1 + math.exp(-1.5)))
    # of crops the mean before the logistic function: 1.5 and −1.5 are even
    assert gate.score(torch.tensor([[3.0, 1.0], [0.0, 1.0]])) == pytest.approx(0.5)
    assert gate.score(torch.tensor([1e6, 0.0])) == 1
    assert gate.score(torch.tensor([-1e6, 0.0])) == pytest.approx(0, abs=1e-300)
    assert gate.accepts(0.7)
    assert not gate.accepts(0.6999)
    assert not gate.accepts(float("nan"))
    with pytest.raises(DataError, match="expected 2 statistics per image, got 3: is the gate of another model"):
        gate.score(torch.zeros(3))


def test_what_is_written_is_read(weights: Path) -> None:
    assert load_gate(weights, CHANNELS) == (None, "")
    assert write_gate(GATE, weights) == gate_file(weights) == weights.parent / "small.gate.json"
    found, problem = load_gate(weights, CHANNELS)
    assert problem == ""
    assert found is not None
    np.testing.assert_array_equal(found.weights, GATE.weights)
    assert (found.stages, found.bias, found.threshold) == (GATE.stages, GATE.bias, GATE.threshold)
    assert (found.kind, found.fitted_on, dict(found.figures)) == (GATE.kind, GATE.fitted_on, dict(GATE.figures))
    data = json.loads(gate_file(weights).read_text(encoding="utf-8"))
    # sha256sum of the bytes above
    assert data["weights_sha256"] == "84db54d399a45dd99f511699a095f8beb4b9c0b5def336f7a60b053d42fb9b3b"


def changed(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        data[key] = value

    return change


ZEROS = [0.0] * 10


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (changed("format", "geoexplain-gate/2"), "got another kind of file"),
        (changed("stages", []), "expected 'stages' from 1 to 3"),
        (changed("stages", "13"), "expected 'stages'"),
        (changed("stages", [0, 1]), "expected 'stages'"),
        (changed("stages", [1, 4]), "expected 'stages'"),
        (changed("stages", [True, 3]), "expected 'stages'"),
        (changed("stages", [1.0, 3]), "expected 'stages'"),
        (changed("stages", [3, 1]), "in ascending order"),
        (changed("stages", [1, 1]), "in ascending order"),
        (changed("stages", [1, 2]), "expected 6 weights for stages [1, 2], got 10"),
        (changed("weights", ZEROS[1:]), "expected 10 weights for stages [1, 3], got 9"),
        (changed("weights", [0.0] * 100_000), "expected 10 weights for stages [1, 3], got 100000"),
        (changed("weights", None), "expected 'weights'"),
        (changed("weights", [*ZEROS[1:], float("nan")]), "expected 'weights' to be finite numbers"),
        (changed("weights", [*ZEROS[1:], float("inf")]), "finite"),
        (changed("weights", [*ZEROS[1:], 10**400]), "finite"),
        (changed("weights", [*ZEROS[1:], "0"]), "finite"),
        (changed("weights", [*ZEROS[1:], True]), "finite"),
        (changed("bias", float("nan")), "expected 'bias' to be a number from -1e+06 to 1e+06"),
        (changed("bias", "much"), "expected 'bias'"),
        (changed("threshold", 1.01), "expected 'threshold' to be a number from 0 to 1"),
        (changed("threshold", None), "expected 'threshold'"),
        (changed("threshold", "\u202e\n" * 99), "expected 'threshold'"),
        (changed("kind", ""), "expected 'kind'"),
        (changed("kind", "two\nlines"), "expected 'kind'"),
        (changed("kind", "x" * 1001), "at most 1,000 letters"),
        (changed("fitted_on", "\u202eright to left"), "expected 'fitted_on'"),
        (changed("figures", []), "expected 'figures'"),
        (changed("figures", {"a": "0.1"}), "expected 'figures'"),
        (changed("figures", {"a": float("nan")}), "expected 'figures'"),
        (changed("figures", {"a\nb": 0.1}), "expected 'figures'"),
        (changed("figures", {str(i): 0 for i in range(101)}), "expected 'figures'"),
        (changed("weights_sha256", None), "expected 'weights_sha256'"),
        (changed("weights_sha256", "0" * 64), "another version: fit it again"),
        (lambda data: data.pop("bias"), "expected 'bias'"),
        (lambda data: data.pop("figures"), "expected 'figures'"),
    ],
)
def test_invalid_values_are_refused_by_name(
    weights: Path, change: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    file = write_gate(GATE, weights)
    data = json.loads(file.read_text(encoding="utf-8"))
    change(data)
    file.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(CheckpointError) as caught:
        read_gate(file, weights, CHANNELS)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("small.gate.json: expected")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    assert load_gate(weights, CHANNELS) == (None, str(caught.value))


@pytest.mark.parametrize("content", [b"", b"[" * 50_000, b"null", b"\xff\xfe", b'{"format": 1}', b"[]"])
def test_other_files_are_refused(weights: Path, content: bytes) -> None:
    gate_file(weights).write_bytes(content)
    with pytest.raises(CheckpointError, match="got another kind of file"):
        read_gate(gate_file(weights), weights, CHANNELS)


def test_neither_a_huge_file_nor_a_pipe_is_read(weights: Path) -> None:
    with gate_file(weights).open("wb") as file:
        file.truncate(LARGEST_BYTES + 1)
    with pytest.raises(CheckpointError, match="expected at most 1,048,576 bytes, got 1,048,577"):
        read_gate(gate_file(weights), weights, CHANNELS)
    gate_file(weights).unlink()
    os.mkfifo(gate_file(weights))
    assert load_gate(weights, CHANNELS) == (None, "")
    with pytest.raises(CheckpointError, match="got a device or a pipe"):
        read_gate(gate_file(weights), weights, CHANNELS)


def gate_for(model: GeoModel, seed: int = 0) -> Gate:
    """Return a gate with random weights on the model's second stage."""
    count = 2 * stage_channels(model.network.backbone)[1]
    slopes = np.random.default_rng(seed).normal(0, 0.1, count).astype(np.float32)
    return Gate((2,), slopes, 0.1, 0.5, "a test picture", "nothing", {})


def test_the_gate_next_to_a_model_is_used_until_the_weights_change(tmp_path: Path) -> None:
    model = small_model()
    file = saved(model, tmp_path)
    write_gate(gate_for(model), file)
    loaded = load_geoexplain(file, "cpu")
    assert loaded.gate is not None
    assert loaded.ungated == ""
    np.testing.assert_allclose(loaded.gate.weights, gate_for(model).weights, rtol=1e-3)  # four digits are kept
    content = gate_file(file).read_bytes()
    saved(small_model(seed=8), tmp_path)
    gate_file(file).write_bytes(content)
    other = load_geoexplain(file, "cpu")
    assert other.gate is None
    assert other.ungated.startswith(
        "small.gate.json: expected a gate fitted for the present version of small.safetensors"
    )
    gate_file(file).write_text("{")
    damaged = load_geoexplain(file, "cpu")
    assert (damaged.gate, damaged.name) == (None, "small")
    assert "got another kind of file: fit again" in damaged.ungated


def test_another_kind_of_image_is_never_localizable() -> None:
    open_rule = LocalizableRule(20_000, 0.0)
    model = red_model(red_gate())
    for color, of_its_kind in ((RED, True), (BLUE, False)):
        seen = model.encode(model.tensor(flat_picture(color)))
        logits = model.head(seen.features).detach()
        found = predict(model, logits, statistics=seen.statistics, rule=open_rule)
        assert found.in_domain is of_its_kind
        assert found.localizable is of_its_kind
        assert found.density > 0.99
        assert (found.domain_score > 0.5) is of_its_kind
        # without statistics, or without a gate, there is no verdict; but only in the latter case it is localizable
        unseen = predict(model, logits, rule=open_rule)
        ungated = predict(red_model(), logits, statistics=seen.statistics, rule=open_rule)
        for undecided in (unseen, ungated):
            assert undecided.in_domain is None
            assert undecided.domain_score is None
        assert (unseen.localizable, ungated.localizable) == (False, True)


def test_statistics_that_are_no_numbers_are_refused() -> None:
    statistics = torch.zeros(6)
    statistics[2] = math.nan
    with pytest.raises(DataError, match="expected finite statistics"):
        red_gate().score(statistics)


def test_fingerprints_of_different_gates_differ() -> None:
    gate = red_gate()
    assert gate.fingerprint() == red_gate().fingerprint()
    others = [replace(gate, threshold=0.6), replace(gate, bias=0.1), replace(gate, weights=gate.weights + 1)]
    assert len({one.fingerprint() for one in (gate, *others)}) == 4


def test_a_folded_network_has_the_channels_of_the_one_it_was_made_of(gated: GeoModel) -> None:
    assert stage_channels(gated.backbone) == stage_channels(gated.network.backbone)


def test_the_score_of_a_picture_by_hand() -> None:
    # red 230, blue 20 of 255, normalised by 0.5 and 0.5: a difference of 1.647; four times that
    found = locate(flat_picture(RED), red_model(red_gate()))
    assert found.domain_score == pytest.approx(1 / (1 + math.exp(-4 * 210 / 255 / 0.5)), rel=1e-4)
    assert locate(flat_picture(RED), red_model()).domain_score is None


def test_of_five_crops_the_mean_decides() -> None:
    picture = flat_picture(BLUE, (180, 64))
    picture.paste(RED, (0, 0, 100, 64))  # two corners red, two blue, and the centre half and half
    model = red_model(red_gate())
    five = locate(picture, model, crops=5)
    seen = model.encode(model.preprocess.five_crops(picture))
    logits = [
        model.gate.bias + float(row.double().numpy() @ model.gate.weights) if model.gate else 0
        for row in seen.statistics
    ]
    assert np.std(logits) > 1
    assert five.domain_score == pytest.approx(1 / (1 + math.exp(-np.mean(logits))), rel=1e-6)
    assert five.cell == predict(model, crop_logits(model, seen.features)).cell


@pytest.fixture(scope="module")
def gated() -> GeoModel:
    model = random_model()
    count = 2 * (24 + 80)
    model.gate = Gate(
        (2, 4), np.linspace(-0.02, 0.02, count, dtype=np.float32), 0.0, 0.5, "a test picture", "nothing", {}
    )
    return model


def test_one_pass_gives_features_statistics_and_explanations_alike(gated: GeoModel) -> None:
    image = image_tensor(4, (64, 80))
    seen, traced = gated.encode(image), trace(gated, image)
    assert seen.statistics is not None
    assert traced.statistics is not None
    assert seen.statistics.shape == (1, 208)
    torch.testing.assert_close(traced.statistics, seen.statistics, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(traced.features, seen.features)
    torch.testing.assert_close(seen.features, gated.features(image))
    assert not traced.statistics.requires_grad
    # the statistics are those of the stages' outputs
    expected = channel_statistics([traced.stages[1].activation[None], traced.stages[3].activation[None]])
    torch.testing.assert_close(traced.statistics, expected, rtol=1e-5, atol=1e-5)
    ungated = random_model()
    assert ungated.encode(image).statistics is None
    assert trace(ungated, image).statistics is None


def test_folding_the_normalisation_does_not_move_the_gate(gated: GeoModel) -> None:
    # the network as trained, against the folded one that predicts
    image = image_tensor(5, (64, 64))
    _, outputs = gated.network.backbone.forward_stages(image, gated.gate.stages if gated.gate else ())
    as_trained, served = channel_statistics(outputs), gated.encode(image).statistics
    assert gated.backbone is not gated.network.backbone
    torch.testing.assert_close(served, as_trained, rtol=1e-4, atol=1e-4)


def test_all_entry_points_give_the_same_verdict(gated: GeoModel) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    located, explained = locate(picture, gated), explain(picture, gated).prediction
    assert located.domain_score == pytest.approx(explained.domain_score, abs=1e-6)
    assert located.in_domain == explained.in_domain


def test_saving_a_model_binds_its_gate_to_the_new_weights(tmp_path: Path) -> None:
    model, file = small_model(), tmp_path / "small.safetensors"
    save_geoexplain(model.network, describe(model), model.partition, file, gate=gate_for(model))
    assert load_geoexplain(file, "cpu").gate is not None
    save_geoexplain(model.network, describe(model), model.partition, file)
    assert not gate_file(file).exists()
