"""Training and releasing from Python alone: what is written answers as the run does, and the card says how it was."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import geoexplain.training as training
from geoexplain.errors import CheckpointError
from geoexplain.imagery.conditions import CONDITIONS, views_under
from geoexplain.locator.zoo import load_model
from geoexplain.training.distributed import alone
from geoexplain.training.run import read_run
from tests.imagery.scenes import made_markings
from tests.training.worlds import SOURCES, source_settings, world_partitioning, world_source

CPU = alone(torch.device("cpu"))


def examples_of(kind: str, source: object) -> training.PhotoExamples | training.ViewExamples:
    if kind == "photos":
        assert isinstance(source, training.PhotoSet)
        return training.PhotoExamples(source, "mine", source.validation[:3])
    assert isinstance(source, training.ViewSource)
    sets = {
        name: {
            "plain": views_under(
                CONDITIONS["plain"], source.imagery, views=4, seed=seed, footprint_km=(500, 2000), rotation_deg=30
            )
        }
        for seed, name in enumerate(("calibration", "gated", "gate_test", "figures"))
    }
    return training.ViewExamples(source.partitioning, **sets, name="mine")


@pytest.mark.parametrize("kind", SOURCES)
def test_python_trains_and_releases_what_the_command_line_does(tmp_path: Path, kind: str) -> None:
    source, settings = world_source(kind), source_settings(kind, phases=(training.Phase(32, 8, images=16),))
    run = training.train(source, settings, tmp_path / "run", processes=CPU)
    others = training.OtherPictures((), made_markings(), generated=2)
    told: list[tuple[str, int, int]] = []
    done = training.release(
        tmp_path / "run",
        examples_of(kind, source),
        tmp_path / "release",
        others=others,
        device="cpu",
        progress=lambda *step: told.append(step),
    )
    from_memory = training.release(run, examples_of(kind, source), tmp_path / "again", others=others, device="cpu")
    assert done.weights == tmp_path / "release" / "mine.safetensors"
    assert "expected at least 50 images" in done.ungated
    assert all(0 <= part <= whole for _, part, whole in told)
    assert any(what.startswith("calibrating") for what, _, _ in told)
    card = json.loads(done.card.read_text(encoding="utf-8"))
    assert card["training"][f"{kind}_seen"] == 16
    assert card["training"]["phases"] == [{"size_px": 32, "batch": 8, kind: 16}]
    assert card == json.loads(from_memory.card.read_text(encoding="utf-8"))
    # The released answers are those of the run, divided by the temperature, in fp16.
    network, images = read_run(run, source.partitioning).network, torch.rand(2, 3, 32, 32)
    temperatures = card["temperatures"] if kind == "photos" else [card["temperature"]]
    with torch.inference_mode():
        levels = network.head.levels(network.backbone(images))
        released = load_model(str(done.weights), "cpu").network
        found = released.head.levels(released.backbone(images))
    for level, temperature, other in zip(levels, temperatures, found, strict=True):
        np.testing.assert_allclose(other, level / temperature, atol=5e-3)


def test_a_release_for_other_cells_is_refused(tmp_path: Path) -> None:
    source, settings = world_source("photos"), source_settings("photos", phases=(training.Phase(32, 8, images=8),))
    training.train(source, settings, tmp_path, processes=CPU)
    other = world_source("photos")
    object.__setattr__(other, "partitioning", world_partitioning(levels=1))
    with pytest.raises(CheckpointError, match="expected the partitioning that the run was trained with"):
        training.release(tmp_path, training.PhotoExamples(other, "mine", other.validation), tmp_path, device="cpu")


def test_every_public_name_is_there() -> None:
    assert all(hasattr(training, name) for name in training.__all__)
