"""Phases, schedules and presets, worked out by hand."""

import json
import math
from dataclasses import asdict, replace

import pytest

from geoexplain.errors import DataError
from geoexplain.training.settings import PRESETS, VIEW_TRAINING, Phase, Schedule, Training, from_plain


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
    phases = (Phase(32, 10, images=100), Phase(64, 5, images=50))
    settings = Training(phases=phases, learning_rate=1.0, warmup_images=20)
    schedule = Schedule(settings, 100)
    assert schedule.lengths == [10, 10]
    assert schedule.rate_at(0) == 1 / 20
    assert schedule.rate_at(1) == 11 / 20
    # after the first phase a third of the pixels: 100 · 32² of 100 · 32² + 50 · 64²
    assert schedule.rate_at(10) == pytest.approx(0.01 + 0.99 * (1 + math.cos(math.pi / 3)) / 2)
    assert schedule.rate_at(20) == pytest.approx(0.01)


def test_phases_steps_and_photos() -> None:
    settings = Training(phases=(Phase(32, 10, epochs=1.5), Phase(64, 4, images=9)), accumulate=2)
    schedule = Schedule(settings, 30)
    assert schedule.lengths == [3, 2]  # 45 photos by 20, 9 by 8
    assert [schedule.phase_at(step) for step in range(6)] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert [schedule.seen(step) for step in range(6)] == [0, 20, 40, 60, 68, 76]
    assert schedule.work(4) == 60 * 32**2 + 8 * 64**2


# 1000 images of 40² px and 250 of 80²: twice 1,600,000 pixels
COOLED = Training(
    phases=(Phase(40, 5, images=1000), Phase(80, 5, images=250)), learning_rate=0.5, warmup_images=100, cooldown=0.25
)


def test_work_counts_pixels() -> None:
    schedule = Schedule(COOLED, None)
    assert (schedule.steps, schedule.images) == (250, 1250)
    assert schedule.work(0) == 0
    assert schedule.work(100) == 800_000
    assert schedule.work(220) == 1_600_000 + 100 * 6400
    assert schedule.work(250) == schedule.work(9999) == 3_200_000
    assert [COOLED.phases[schedule.phase_at(step)[0]].size_px for step in (0, 199, 200, 249, 250)] == [
        40,
        40,
        80,
        80,
        80,
    ]


def test_the_rate_rises_stays_and_falls() -> None:
    schedule = Schedule(COOLED, None)
    # a hundredth more with every image, five of which are a step
    assert schedule.rate_at(0) == pytest.approx(0.005)
    assert schedule.rate_at(10) == pytest.approx(0.255)
    assert schedule.rate_at(20) == schedule.rate_at(21) == 0.5
    # the last quarter is 800,000 pixels, 125 images of the second phase
    assert schedule.rate_at(225) == 0.5
    assert schedule.rate_at(226) < 0.5
    # three fifths of the cooldown are left after 10 of its 25 steps; then 1 %
    expected = 0.01 + 0.99 * 0.5 * (1 - math.cos(math.pi * 0.6))
    assert schedule.rate_at(235) == pytest.approx(0.5 * expected)
    assert schedule.rate_at(250) == pytest.approx(0.005)
    rates = [schedule.rate_at(step) for step in range(225, 251)]
    assert rates == sorted(rates, reverse=True)


def test_a_longer_run_begins_as_the_shorter_one() -> None:
    shorter = Schedule(COOLED, None)
    longer = Schedule(replace(COOLED, phases=(COOLED.phases[0], Phase(80, 5, images=2000))), None)
    assert all(longer.rate_at(step) == shorter.rate_at(step) for step in range(226))
    assert longer.rate_at(240) == 0.5 > shorter.rate_at(240)


def test_images_without_end_have_no_epochs() -> None:
    for settings in (Training(), Training(phases=(Phase(32, 8, images=8),), schedule="milestones", milestones=(1,))):
        with pytest.raises(DataError, match="views have no epochs"):
            Schedule(settings, None)


@pytest.mark.parametrize("settings", [*PRESETS.values(), VIEW_TRAINING], ids=[*PRESETS, "views"])
def test_settings_come_back_from_json(settings: Training) -> None:
    assert from_plain(json.loads(json.dumps(asdict(settings)))) == settings


def test_cards_call_images_what_they_are() -> None:
    settings = Training(phases=(Phase(32, 8, images=64), Phase(48, 8, epochs=1.5)), warmup_images=7)
    card = settings.as_dict("views")
    assert card["phases"] == [{"size_px": 32, "batch": 8, "views": 64}, {"size_px": 48, "batch": 8, "epochs": 1.5}]
    assert (card["warmup_views"], card["seed"]) == (7, 0)
    assert "warmup_images" not in card


@pytest.mark.parametrize("length", [{}, {"epochs": 1, "images": 2}, {"epochs": 0}, {"images": -1}])
def test_a_phase_has_one_length(length: dict[str, int]) -> None:
    with pytest.raises(DataError, match="expected either epochs or images"):
        Phase(32, 8, **length)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(DataError, match="optimizer: expected sgd, adam, adamw, got 'lion'"):
        Training(optimizer="lion")
    with pytest.raises(DataError, match="at least 2 images per batch"):
        Phase(32, 1, epochs=1)
    with pytest.raises(DataError, match="a learning rate and a bandwidth above 0"):
        Training(learning_rate=0)
    with pytest.raises(DataError, match="at least 2 photos to train on"):
        Schedule(Training(), 1)
