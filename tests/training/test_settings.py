"""Phases, and the learning rate by hand."""

import math

import pytest

from geoexplain.training.settings import Phase, ViewTraining

# 1000 views of 10² px and 250 of 20²: twice 100,000 pixels
SETTINGS = ViewTraining(
    phases=(Phase(10, 10, 1000), Phase(20, 10, 250)), learning_rate=0.5, warmup_views=100, cooldown=0.25
)


def test_work_counts_pixels() -> None:
    assert SETTINGS.total_views() == 1250
    assert SETTINGS.work(0) == 0
    assert SETTINGS.work(500) == 50_000
    assert SETTINGS.work(1100) == 100_000 + 100 * 400
    assert SETTINGS.work(1250) == SETTINGS.work(9999) == 200_000


def test_phases_follow_one_another() -> None:
    assert [SETTINGS.phase_at(seen).size_px for seen in (0, 999, 1000, 1249, 1250)] == [10, 10, 20, 20, 20]


def test_the_rate_rises_stays_and_falls() -> None:
    # a hundredth more with every view
    assert SETTINGS.rate_at(0) == pytest.approx(0.005)
    assert SETTINGS.rate_at(49) == pytest.approx(0.25)
    assert SETTINGS.rate_at(99) == SETTINGS.rate_at(100) == 0.5
    # the last quarter is 50,000 pixels, 125 views of the second phase
    assert SETTINGS.rate_at(1125) == 0.5
    assert SETTINGS.rate_at(1126) < 0.5
    # half way down the cosine, (1 + 1 %) / 2; then 1 %
    assert SETTINGS.rate_at(1125 + 62) == pytest.approx(0.5 * (0.01 + 0.99 * 0.5), rel=0.02)
    expected = 0.01 + 0.99 * 0.5 * (1 - math.cos(math.pi * 0.5))
    assert SETTINGS.rate_at(1187.5) == pytest.approx(0.5 * expected)
    assert SETTINGS.rate_at(1250) == pytest.approx(0.005)
    rates = [SETTINGS.rate_at(seen) for seen in range(1125, 1251)]
    assert rates == sorted(rates, reverse=True)


def test_a_longer_run_begins_as_the_shorter_one() -> None:
    longer = ViewTraining(
        phases=(Phase(10, 10, 1000), Phase(20, 10, 2000)), learning_rate=0.5, warmup_views=100, cooldown=0.25
    )
    for seen in range(0, 1126, 25):
        assert longer.rate_at(seen) == SETTINGS.rate_at(seen)
    assert longer.rate_at(1200) == 0.5 > SETTINGS.rate_at(1200)


def test_the_first_part_of_a_name_decides_how_often_an_image_is_drawn() -> None:
    settings = ViewTraining(weights=(("earth_3", 5.0), ("earth", 2.0), ("dull", 0.0)))
    names = ("natural_earth_3.jpg", "natural_earth_2.jpg", "world.200401.jpg", "dull.png")
    assert [settings.weight_of(name) for name in names] == [5, 2, 1, 0]
