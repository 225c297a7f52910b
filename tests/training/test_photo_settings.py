"""Schedules and presets, worked out by hand."""

import json
import math
from dataclasses import asdict

import pytest

from geoexplain.errors import DataError
from geoexplain.training.photo_settings import PRESETS, PhotoPhase, PhotoTraining, Schedule, from_plain


def test_milestones_of_theiner_et_al_halve_the_rate_nine_times() -> None:
    # 1,280 photos are ten steps of 128: an epoch
    schedule = Schedule(PRESETS["theiner-2022"], 1280)
    assert schedule.steps == 200
    rates = [schedule.rate_at(10 * epoch) for epoch in range(21)]
    halvings = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 4, 5, 6, 6, 7, 7, 8, 9]
    assert rates == [0.01 * 0.5**n for n in halvings]
    assert schedule.rate_at(39) == 0.01
    assert schedule.rate_at(199) == 0.01 / 256


def test_warm_up_and_cosine_over_the_pixels() -> None:
    phases = (PhotoPhase(32, 10, photos=100), PhotoPhase(64, 5, photos=50))
    settings = PhotoTraining(phases=phases, learning_rate=1.0, warmup_photos=20)
    schedule = Schedule(settings, 100)
    assert schedule.lengths == [10, 10]
    assert schedule.rate_at(0) == 1 / 20
    assert schedule.rate_at(1) == 11 / 20
    # after the first phase a third of the pixels: 100 · 32² of 100 · 32² + 50 · 64²
    assert schedule.rate_at(10) == pytest.approx(0.01 + 0.99 * (1 + math.cos(math.pi / 3)) / 2)
    assert schedule.rate_at(20) == pytest.approx(0.01)


def test_phases_steps_and_photos() -> None:
    settings = PhotoTraining(phases=(PhotoPhase(32, 10, epochs=1.5), PhotoPhase(64, 4, photos=9)), accumulate=2)
    schedule = Schedule(settings, 30)
    assert schedule.lengths == [3, 2]  # 45 photos by 20, 9 by 8
    assert [schedule.phase_at(step) for step in range(6)] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert [schedule.seen(step) for step in range(6)] == [0, 20, 40, 60, 68, 76]
    assert schedule.work(4) == 60 * 32**2 + 8 * 64**2


@pytest.mark.parametrize("name", PRESETS)
def test_settings_come_back_from_json(name: str) -> None:
    assert from_plain(json.loads(json.dumps(asdict(PRESETS[name])))) == PRESETS[name]


@pytest.mark.parametrize("length", [{}, {"epochs": 1, "photos": 2}, {"epochs": 0}, {"photos": -1}])
def test_a_phase_has_one_length(length: dict[str, int]) -> None:
    with pytest.raises(DataError, match="expected either epochs or photos"):
        PhotoPhase(32, 8, **length)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(DataError, match="optimiser: expected sgd, adam, adamw, got 'lion'"):
        PhotoTraining(optimiser="lion")
    with pytest.raises(DataError, match="at least 2 photos per batch"):
        PhotoPhase(32, 1, epochs=1)
    with pytest.raises(DataError, match="a learning rate above 0"):
        PhotoTraining(learning_rate=0)
    with pytest.raises(DataError, match="at least 2 photos to train on"):
        Schedule(PhotoTraining(), 1)
