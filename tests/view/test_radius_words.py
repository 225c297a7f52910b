"""The words for how far the probability reaches: rounding by hand, and nothing finer than a cell, whatever is said."""

import re

import numpy as np
import pytest

from geoexplain.geography.partition import Partition
from geoexplain.geography.sphere import degrees, great_circle_km
from geoexplain.locator.model import LocalizableRule
from geoexplain.locator.prediction import Prediction
from geoexplain.locator.spread import Scatter, Spread, spread_probability
from geoexplain.view.density import area_curve
from geoexplain.view.radius_words import (
    cell_words,
    circle_radius_km,
    circle_words,
    half_words,
    reach_words,
    share_rows,
)
from geoexplain.view.worldmap import world_map_html
from geoexplain.words import width_text
from tests.geography.scattered import fibonacci

WHOLE_EARTH_KM = 2 * np.pi * 6371


@pytest.mark.parametrize(
    ("width_km", "text"),
    [
        (341.0, "340 km"), (345.1, "350 km"), (1234.0, "1,200 km"), (40_030.0, "40,000 km"), (99.6, "100 km"),
        (62.4, "62 km"), (9.96, "10 km"), (7.0, "7 km"), (6.24, "6.2 km"), (1.0, "1 km"), (0.996, "1 km"),
        (0.5, "500 m"), (0.123, "120 m"), (0.0123, "12 m"), (0.0004, "1 m"), (0.0, "0 m"),
    ],
)  # fmt: skip
def test_widths_have_two_digits(width_km: float, text: str) -> None:
    assert width_text(width_km) == text


@pytest.mark.parametrize(("width_km", "text"), [(341.0, "350 km"), (340.0, "340 km"), (1201.0, "1,300 km")])
def test_circles_are_rounded_up(width_km: float, text: str) -> None:
    assert width_text(width_km, up=True) == text


def test_what_is_narrower_than_a_cell_is_as_wide_as_one() -> None:
    assert cell_words(341) == "one cell, about 340 km wide"
    assert circle_words(170, 341) == "the width of one cell, about 340 km"
    assert circle_words(171, 341) == "a circle 350 km wide"
    assert circle_words(600, 341) == "a circle 1,200 km wide"
    assert circle_words(19_900, 341) == "no circle short of the whole Earth"


def prediction_of(spread: Spread, shares: list[float]) -> Prediction:
    return Prediction(
        0, np.array(shares), 0.0, 0.0, {}, LocalizableRule(25, 0.2), 0.0, True, "cell centre", spread=spread
    )


def test_the_sentence_and_the_rows_by_hand() -> None:
    # Half within 100 km, 90 % within 1,000 km, all within 5,000 km; the cell is 300 km wide and has 60 %.
    spread = Spread(np.array([0, 100, 1000, 5000.0]), np.array([0, 0.5, 0.9, 1]), 300.0)
    prediction = prediction_of(spread, [0.6, 0.4])
    assert (prediction.half_radius_km, prediction.radius_90_km) == pytest.approx((100, 1000))
    assert reach_words(prediction) == (
        "Half of the probability lies within the width of one cell, about 300 km; 90 % within a circle 2,000 km wide"
    )
    rows = share_rows(prediction)
    assert [words for words, _ in rows] == ["one cell, about 300 km wide", "750 km", "2,500 km"]
    # Between two distances the share rises with the area, which is flat to a thousandth up to 1,000 km.
    assert [share for _, share in rows[:2]] == pytest.approx([0.6, 0.5 + 0.4 * (750**2 - 100**2) / 990_000], abs=0.001)
    assert circle_radius_km(prediction) == 150
    sure = prediction_of(Spread(np.array([0, 100, 120, 130.0]), np.array([0, 0.5, 0.9, 1]), 300.0), [0.95, 0.05])
    assert (
        reach_words(sure) == "Half of the probability, even 90 % of it, lies within the width of one cell, about 300 km"
    )
    wide = prediction_of(Spread(np.array([0, 400, 900, 5000.0]), np.array([0, 0.5, 0.9, 1]), 300.0), [0.3, 0.7])
    assert half_words(wide) == "a circle 800 km wide"
    assert circle_radius_km(wide) == pytest.approx(400)


def test_a_model_of_streets_still_says_kilometres() -> None:
    spread = Spread(np.array([0, 0.4, 12, 5000.0]), np.array([0, 0.5, 0.9, 1]), 0.7)
    prediction = prediction_of(spread, [0.6, 0.4])
    assert [words for words, _ in share_rows(prediction)] == [
        "one cell, about 700 m wide", "1 km", "25 km", "200 km", "750 km", "2,500 km",
    ]  # fmt: skip
    assert reach_words(prediction) == (
        "Half of the probability lies within a circle 800 m wide; 90 % within a circle 24 km wide"
    )


def kilometres_in(text: str) -> list[float]:
    found = re.findall(r"([\d,.]+) (k?m)\b", text)
    return [float(number.replace(",", "")) / (1 if unit == "km" else 1000) for number, unit in found]


@pytest.mark.parametrize("seed", range(40))
def test_no_figure_is_finer_than_the_cell_whatever_the_answer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cells = int(rng.choice([2, 3, 40, 600, 3000]))
    centers = fibonacci(cells)
    if cells == 3000 and seed % 2:  # of very different sizes: from 10 m on
        near = degrees(rng.normal(size=3)) + rng.normal(size=(2000, 2)) * 10.0 ** rng.uniform(-4, 0, (2000, 1))
        centers[:2000] = np.stack([near[:, 0].clip(-90, 90), (near[:, 1] + 180) % 360 - 180], axis=1)
    partition = Partition("test", tuple(map(str, range(cells))), centers)
    point = degrees(rng.normal(size=3))
    away = great_circle_km(point, centers)
    logits = rng.uniform(0, 8) * rng.normal(size=cells) - away / 10.0 ** rng.uniform(1, 4)
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    scatter = Scatter(*point.tolist(), away < 1000, 10.0 ** rng.uniform(-1, 3)) if seed % 3 else None
    spread = spread_probability(shares, partition, point, scatter=scatter)
    best = int(shares.argmax())
    rule = LocalizableRule()
    prediction = Prediction(best, shares, *point.tolist(), {}, rule, 0.0, True, "cell centre", spread=spread)
    about = kilometres_in(cell_words(prediction.cell_width_km))
    width = prediction.cell_width_km
    assert about[0] == pytest.approx(width, rel=0.051, abs=0.001)
    circle = re.search(r'"text": ?"(half of the probability[^"]*)"', world_map_html(prediction, partition))
    said = [
        reach_words(prediction),
        *(words for words, _ in share_rows(prediction)),
        *(tick["text"] for tick in area_curve(prediction)["ticks"][1:]),
        circle[1] if circle else "",
    ]
    for text in said:
        for figure in kilometres_in(text):
            assert figure >= width or figure == about[0], text
    # And what is said is true: the circle that is named holds what it says it holds.
    for share, words in zip((0.5, 0.9), reach_words(prediction).split(";"), strict=False):
        if "a circle" in words:
            assert spread.within(kilometres_in(words)[0] / 2) >= share - 1e-6
    assert circle_radius_km(prediction) >= width / 2


def test_the_curve_begins_at_the_cell_and_is_the_spread() -> None:
    spread = Spread(np.array([0, 100, 1000, 5000.0]), np.array([0, 0.5, 0.9, 1]), 300.0)
    curve = area_curve(prediction_of(spread, [0.6, 0.4]))
    assert curve["km"][0] == 300
    assert [curve["km"][-1], curve["to_km"]] == pytest.approx([WHOLE_EARTH_KM / 2] * 2, abs=0.001)
    assert curve["from_km"] == 100
    np.testing.assert_allclose(curve["share"], spread.within(curve["km"]), atol=1e-4)
    assert [tick["text"] for tick in curve["ticks"]] == ["300 km", "750 km", "2,500 km", "20,000 km"]
    assert curve["cell"] == {"width_km": 300.0, "words": "one cell, about 300 km wide", "share": 0.6}
    huge = area_curve(prediction_of(Spread(spread.km, spread.shares, 30_000.0), [0.6, 0.4]))
    assert huge["km"][0] == pytest.approx(WHOLE_EARTH_KM / 4)
    assert [tick["text"] for tick in huge["ticks"]] == ["10,000 km", "20,000 km"]
