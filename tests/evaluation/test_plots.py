"""Pictures of evaluations: equal figures give equal files, others do not, and what is missing leaves a gap."""

import math
from pathlib import Path

import numpy as np

from geoexplain.evaluation.plot import plot_sanity, plot_scores
from geoexplain.evaluation.sanity_tables import SetSanity
from geoexplain.evaluation.scoreboard import Cell, Scores, Standing
from geoexplain.explainer.sanity_verdict import classify_resemblances

NAN = float("nan")
TITLE = r"a <title> with $\signs$ and \x"


def test_methods_by_metrics(tmp_path: Path) -> None:
    higher = {"deletion@9": False, "adcc": True}
    board = {
        name: {"deletion@9": Cell(mean, mean - 0.1, mean + 0.1, 5), "adcc": Cell(NAN, NAN, NAN, 0)}
        for name, mean in (("grad-cam", 0.4), ("combi-cam", 0.3), ("random", 0.5))
    }
    stands = {column: Standing(None, ("grad-cam",), ()) for column in ("deletion@9", "adcc")}
    files = [tmp_path / f"{number}.png" for number in range(6)]
    for file in files[:2]:
        plot_scores(Scores(board, stands, higher, 5), TITLE, file)
    assert files[0].read_bytes() == files[1].read_bytes()
    best = stands | {"deletion@9": Standing("grad-cam", ("grad-cam",), ("grad-cam",))}
    plot_scores(Scores(board, best, higher, 5), TITLE, files[4])
    assert files[4].read_bytes() != files[0].read_bytes()
    board["grad-cam"]["adcc"] = Cell(0.7, 0.6, 0.8, 5)
    plot_scores(Scores(board, stands, higher, 5), TITLE, files[2])
    assert files[2].read_bytes() != files[0].read_bytes()
    board["grad-cam"]["adcc"] = Cell(0.7, -math.inf, math.inf, 1)
    plot_scores(Scores(board, stands, higher, 5), TITLE, files[5])
    assert files[5].read_bytes() != files[2].read_bytes()
    only = Scores({"random": board["random"]}, stands, {"deletion@9": False}, 5)
    plot_scores(only, "baselines alone", files[3])
    assert files[3].stat().st_size > 0


def test_resemblance_by_step(tmp_path: Path) -> None:
    def found(last: float, interval: tuple[float, float] = (NAN, NAN)) -> dict[str, SetSanity]:
        left = np.array([0.9, last])
        return {
            "grad-cam": SetSanity(
                ("head", "stem"),
                left,
                ((0.8, 1.0), interval),
                left,
                left,
                classify_resemblances(left),
                "too few",
                "words",
                2,
                {"too few": 2},
            )
        }

    files = [tmp_path / f"{number}.png" for number in range(5)]
    for file in files[:2]:
        plot_sanity(found(0.1), TITLE, file)
    assert files[0].read_bytes() == files[1].read_bytes()
    plot_sanity(found(0.2), TITLE, files[2])
    assert files[2].read_bytes() != files[0].read_bytes()
    plot_sanity(found(0.1, (-math.inf, math.inf)), TITLE, files[4])
    assert files[4].read_bytes() != files[0].read_bytes()
    plot_sanity({}, "nothing", files[3])
    assert files[3].stat().st_size > 0
