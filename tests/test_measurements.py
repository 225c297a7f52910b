"""The tables of the README and of docs/trust.md are those that were measured, with the weights that are shipped."""

import json

from benchmarks.readme_tables import brief_views, concepts, faithfulness, gate, sanity, views
from geoexplain.evaluation.fingerprint import model_fingerprint
from geoexplain.explainer.faithfulness import METRICS
from geoexplain.explainer.table import BASELINE, CAMS, kinds_of_family
from geoexplain.locator.zoo import load_model
from tests.test_architecture import ROOT

MEASURED = json.loads((ROOT / "benchmarks" / "faithfulness.json").read_text(encoding="utf-8"))
VIEWS = [json.loads(file.read_text("utf-8")) for file in sorted((ROOT / "benchmarks" / "views").glob("*.json"))]
GATE = json.loads((ROOT / "benchmarks" / "gate.json").read_text(encoding="utf-8"))
SANITY, CONCEPTS = (
    json.loads((ROOT / "benchmarks" / f"{name}.json").read_text(encoding="utf-8")) for name in ("sanity", "concepts")
)
README = (ROOT / "README.md").read_text(encoding="utf-8")
TRUST = (ROOT / "docs" / "trust.md").read_text(encoding="utf-8")
NAMES = {kind.title: name for name, kind in kinds_of_family(*CAMS).items()}
NAMES |= {f"*{kind.title}*": name for name, kind in kinds_of_family(BASELINE).items()}


def rows() -> dict[str, list[str]]:
    table = TRUST.partition("| | ↓ deletion |")[2].partition("\n\n")[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {NAMES[title]: cells for title, *cells in lines}


def test_every_figure_is_the_one_that_was_measured() -> None:
    assert rows().keys() == MEASURED["scores"].keys()
    assert (
        set(rows())
        >= {name for name in kinds_of_family(*CAMS) if name != "score-cam"} | kinds_of_family(BASELINE).keys()
    )
    for name, cells in rows().items():
        scores = MEASURED["scores"][name]
        assert len(cells) == len(scores) == len(METRICS)
        for cell, (metric, score) in zip(cells, scores.items(), strict=True):
            digits = 1 if metric.startswith("average") else 3
            half = (score["high"] - score["low"]) / 2
            assert cell.strip("*") == f"{score['mean']:.{digits}f} ± {half:.{digits}f}"
            assert cell.startswith("**") == (MEASURED["best"].get(metric) == name)


def test_the_tables_are_those_that_the_code_writes() -> None:
    assert "\n".join(faithfulness(MEASURED)) in TRUST
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
        "| *Random map* | 0.500 ± 0.100 | 50.0 ± 1.0 |",
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


def test_the_other_tables_are_those_that_were_measured() -> None:
    assert "\n".join(brief_views(*VIEWS)) in README
    assert "\n".join(views(*VIEWS)) in TRUST
    for table in (gate(GATE), sanity(SANITY), concepts(CONCEPTS)):
        assert "\n".join(table) in TRUST


def test_tables_of_views_start_with_real_pictures() -> None:
    assert brief_views(*VIEWS)[2].startswith("| EPIC discs |")
    assert views(*VIEWS)[2].startswith("| EPIC discs |")


def test_a_table_of_views_by_hand() -> None:
    figures = {"localizable": 0.5, "calibration_error": 0.031, "coverage": {"half": 0.482, "ninety": 0.9}}
    reports = [
        {"imagery": "a.png", "condition": "plain", "accuracy_by_km": {"200": 0.256, "2500": 1.0}, **figures},
        {"imagery": "a.png", "condition": "grey", "accuracy_by_km": {"200": 0.1, "2500": 0.3}, **figures},
        {"imagery": "b", "condition": "disc-cloud-below-30", "accuracy_by_km": {"200": 0.1, "2500": 0.3}, **figures},
    ]
    for report, wrong in zip(reports, (None, 0.25, 0.0), strict=True):
        report["wrongly_localizable"] = wrong
    heads = "localizable | wrong, yet localizable | calibration error | truth in 50 / 90 % circle"
    rows = [
        f"| views of | 200 km | 2,500 km | {heads} |",
        "|---|---:|---:|---:|---:|---:|---:|",
        "| a.png | 26 | 100 | 50 | – | 3.1 | 48 / 90 |",
        "| a.png: in grey | 10 | 30 | 50 | 25 | 3.1 | 48 / 90 |",
        "| EPIC discs, under 30 % cloud | 10 | 30 | 50 | 0 | 3.1 | 48 / 90 |",
    ]
    assert views({"reports": reports[:2]}, {"reports": reports[2:]}) == rows
    march = {**reports[0], "imagery": "world.200403.3x5400x2700.jpg"}
    assert brief_views({"reports": [*reports, {**march, "condition": "grey"}, march]}) == [
        *rows[:2],
        "| Blue Marble, March | 26 | 100 | 50 | – | 3.1 | 48 / 90 |",
    ]


def test_everything_was_measured_with_the_weights_that_are_shipped() -> None:
    shipped = model_fingerprint(load_model(device="cpu"))
    assert {summary["settings"]["model_sha256"] for summary in (MEASURED, SANITY, CONCEPTS)} == {shipped}
    assert {summary["model_sha256"] for summary in [*VIEWS, GATE]} == {shipped}
    assert MEASURED["counts"]["evaluated"] == MEASURED["settings"]["source"]["views"] == 150
    assert "150 withheld views" in TRUST
    assert {summary["views"] for summary in VIEWS} == {2000}
