"""The README's table of faithfulness is the one that was measured, and of the weights that are shipped."""

import json
import re

from benchmarks.readme_tables import faithfulness, sanity
from geoexplain.evaluation.fingerprint import model_fingerprint
from geoexplain.explainer.baselines import BASELINES
from geoexplain.explainer.faithfulness import METRICS
from geoexplain.explainer.tuned import TITLES
from geoexplain.locator.zoo import load_model
from tests.test_architecture import ROOT

MEASURED = json.loads((ROOT / "benchmarks" / "faithfulness.json").read_text(encoding="utf-8"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
NAMES = {title: name for name, title in TITLES.items()} | {
    "*random map*": "random",
    "*centred Gaussian*": "gaussian",
    "*edges of the image*": "edges",
}


def rows() -> dict[str, list[str]]:
    table = README.partition("| | ↓ deletion |")[2].partition("\n\n")[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {NAMES[title]: cells for title, *cells in lines}


def test_every_figure_is_the_one_that_was_measured() -> None:
    assert rows().keys() == MEASURED["scores"].keys()
    assert set(rows()) >= {name for name in TITLES if name != "score-cam"} | BASELINES.keys()
    for name, cells in rows().items():
        scores = MEASURED["scores"][name]
        assert len(cells) == len(scores) == len(METRICS)
        for cell, (metric, score) in zip(cells, scores.items(), strict=True):
            digits = 1 if metric.startswith("average") else 3
            half = (score["high"] - score["low"]) / 2
            assert cell.strip("*") == f"{score['mean']:.{digits}f} ± {half:.{digits}f}"
            assert cell.startswith("**") == (MEASURED["best"].get(metric) == name)


def test_the_tables_are_those_that_the_code_writes() -> None:
    assert "\n".join(faithfulness(MEASURED)) in README
    # What is bold is better than all others: here by hand.
    summary = {
        "higher_is_better": {"deletion@9": False, "average-drop": False},
        "best": {"deletion@9": "combi-cam"},
        "scores": {
            "combi-cam": {
                "deletion@9": {"mean": 0.25, "low": 0.2, "high": 0.3},
                "average-drop": {"mean": 12.34, "low": 10, "high": 14},
            },
            "random": {
                "deletion@9": {"mean": 0.5, "low": 0.4, "high": 0.6},
                "average-drop": {"mean": 50.0, "low": 49, "high": 51},
            },
        },
    }
    assert faithfulness(summary) == [
        "| | ↓ deletion | ↓ average drop, % |",
        "|---|---:|---:|",
        "| Combi-CAM, as published | **0.250 ± 0.050** | 12.3 ± 2.0 |",
        "| *random map* | 0.500 ± 0.100 | 50.0 ± 1.0 |",
    ]
    steps = [
        {"randomised": "head", "resemblance": None, "low": None, "high": None},
        {"randomised": "stage 1", "resemblance": -0.001, "low": -0.1, "high": 0.1},
        {"randomised": "stem", "resemblance": 0.061, "low": -0.034, "high": 0.152},
    ]
    assert sanity({"methods": {"grad-cam": {"verdict": "depends", "steps": steps}}}) == [
        "| | head | stage 1 | stem | 95 % | verdict |",
        "|---|---:|---:|---:|---|---|",
        "| Grad-CAM | – | 0.00 | 0.06 | −0.03 to 0.15 | depends |",
    ]


def test_it_was_measured_on_500_views_with_the_weights_that_are_shipped() -> None:
    assert MEASURED["settings"]["model_sha256"] == model_fingerprint(load_model(device="cpu"))
    assert MEASURED["counts"]["evaluated"] == MEASURED["settings"]["source"]["views"] == 500
    assert re.search(r"500 withheld views", README)
