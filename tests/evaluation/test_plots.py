"""Pictures of evaluations: equal figures give equal files, others do not, and what is missing leaves a gap."""

from pathlib import Path

import numpy as np

from geoexplain.evaluation.explanations import Examination
from geoexplain.evaluation.plot_explanations import plot_scoreboard
from geoexplain.evaluation.plot_sanity import plot_sanity
from geoexplain.evaluation.sanity import SetSanity
from geoexplain.evaluation.scoreboard import Cell
from geoexplain.explainer.sanity import judged

NAN = float("nan")
TITLE = r"a <title> with $\signs$ and \x"


def test_methods_by_metrics(tmp_path: Path) -> None:
    examination = Examination(("grad-cam", "combi-cam", "random"), ("deletion", "adcc"), steps=9)
    board = {
        name: {"deletion@9": Cell(mean, mean - 0.1, mean + 0.1, 5), "adcc": Cell(NAN, NAN, NAN, 0)}
        for name, mean in (("grad-cam", 0.4), ("combi-cam", 0.3), ("random", 0.5))
    }
    files = [tmp_path / f"{number}.png" for number in range(4)]
    for file in files[:2]:
        plot_scoreboard(board, examination, TITLE, file)
    assert files[0].read_bytes() == files[1].read_bytes()
    board["grad-cam"]["adcc"] = Cell(0.7, 0.6, 0.8, 5)
    plot_scoreboard(board, examination, TITLE, files[2])
    assert files[2].read_bytes() != files[0].read_bytes()
    only = Examination(("random",), ("deletion",), steps=9)
    plot_scoreboard({"random": board["random"]}, only, "baselines alone", files[3])


def test_correlation_by_step(tmp_path: Path) -> None:
    def found(last: float) -> dict[str, SetSanity]:
        correlations = np.array([[0.9, last], [0.8, NAN]])
        check = judged("grad-cam", "Grad-CAM", ("head", "stem"), correlations, correlations, flat=False)
        return {
            "grad-cam": SetSanity(check, correlations[0], correlations[0], ((0.8, 0.9), (NAN, NAN)), 2, {"depends": 2})
        }

    files = [tmp_path / f"{number}.png" for number in range(4)]
    for file in files[:2]:
        plot_sanity(found(0.1), TITLE, file)
    assert files[0].read_bytes() == files[1].read_bytes()
    plot_sanity(found(0.2), TITLE, files[2])
    assert files[2].read_bytes() != files[0].read_bytes()
    plot_sanity({}, "nothing", files[3])
    assert files[3].stat().st_size > 0
