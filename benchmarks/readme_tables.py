"""Print the tables of README.md and docs as Markdown, from the summaries that the evaluations wrote.

python -m benchmarks.readme_tables brief-views benchmarks/views/*.json   README.md
python -m benchmarks.readme_tables views benchmarks/views/*.json         docs/trust.md, as all that follow
python -m benchmarks.readme_tables gate benchmarks/gate.json
python -m benchmarks.readme_tables faithfulness benchmarks/faithfulness.json
python -m benchmarks.readme_tables sanity benchmarks/sanity.json
python -m benchmarks.readme_tables concepts benchmarks/concepts.json
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from geoexplain.explainer.faithfulness import METRICS
from geoexplain.explainer.sanity_verdict import two_decimals_text
from geoexplain.explainer.table import BASELINE, explanation_kind
from geoexplain.imagery.conditions import CONDITIONS

HEADS = {
    "deletion": "deletion",
    "insertion": "insertion",
    "average-drop": "average drop, %",
    "average-increase": "average increase, %",
    "adcc": "ADCC",
    "road-morf": "ROAD, most relevant first",
    "road-lerf": "ROAD, least relevant first",
}

DISCS = "EPIC discs"
IMAGERY_TITLES = {
    "world.200403.3x5400x2700.jpg": "Blue Marble, March",
    "world.200406.3x5400x2700.jpg": "Blue Marble, June",
    "world.200409.3x5400x2700.jpg": "Blue Marble, September",
    "bmng": "`bmng.jpg`, Blue Marble with sea floor",
    "pyvista_2k_earth_daymap.jpg": "day map of Solar System Scope",
    "three-globe_earth-blue-marble.jpg": "globe of `three-globe`",
    "xplanet_earth.jpg": "globe of `xplanet`",
    "vpython_earth_texture.jpg": "globe of `vpython`",
    "openuniverse_earth.jpg": "globe of `openuniverse`",
    "stellarium_earth_cmap.png": "globe of `stellarium`",
}


BRIEF = (DISCS, "day map of Solar System Scope", "globe of `openuniverse`", "Blue Marble, March")
"""Rows of the table in README.md: photographs, then an easy and a hard rendering, then another season."""


def title_of(name: str) -> str:
    """Return the title of an explanation by its present or a former name, in italics for a baseline."""
    kind = explanation_kind(name)
    return f"*{kind.title}*" if kind.family == BASELINE else kind.title


def views(*summaries: Mapping[str, Any]) -> list[str]:
    """Format sets of views × shares in %: within each radius, localizable, and wrong although localizable."""
    return _views([report for summary in summaries for report in summary["reports"]])


def brief_views(*summaries: Mapping[str, Any]) -> list[str]:
    """Format only the rows of BRIEF."""
    reports = [report for summary in summaries for report in summary["reports"]]
    return _views([one for one in reports if views_title(one) in BRIEF])


def _views(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    radii = [f"{int(km):,} km" for km in reports[0]["accuracy_by_km"]]
    heads = [*radii, "localizable", "wrong, yet localizable", "calibration error", "truth in 50 / 90 % circle"]
    lines = [f"| views of | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]
    for report in reports:
        values = [*report["accuracy_by_km"].values(), report["localizable"], report["wrongly_localizable"]]
        shares = ["–" if share is None else f"{100 * share:.0f}" for share in values]
        shares += [f"{100 * report['calibration_error']:.1f}"]
        coverage = report["coverage"]
        circles = f"{100 * coverage['half']:.0f} / {100 * coverage['ninety']:.0f}"
        lines.append(f"| {views_title(report)} | {' | '.join(shares)} | {circles} |")
    return lines


def views_title(report: Mapping[str, Any]) -> str:
    """Return the title of a set of views: its imagery and its condition."""
    condition = report["condition"]
    if condition.startswith("disc"):
        below = condition.removeprefix("disc").removeprefix("-cloud-below-")
        return f"{DISCS}, under {below} % cloud" if below else DISCS
    title = IMAGERY_TITLES.get(report["imagery"], report["imagery"])
    return title if condition == "plain" else f"{title}: {CONDITIONS[condition].title}"


def gate(summary: Mapping[str, Any]) -> list[str]:
    """Format kinds of pictures × their number, the accepted share and the localizable share in %."""
    lines = ["| pictures | images | let pass, % | localizable, % |", "|---|---:|---:|---:|"]
    for own, part in (("", summary["own"]), ("not: ", summary["others"])):
        for name, figures in part.items():
            values = (figures["in_domain"], figures["localizable"])
            shares = " | ".join("–" if share is None else f"{100 * share:.1f}" for share in values)
            lines.append(f"| {own}{name} | {figures['images']:,} | {shares} |")
    return lines


def faithfulness(summary: Mapping[str, Any]) -> list[str]:
    """Format methods × metrics, mean ± half of the interval; bold if better than every other method and baseline."""
    columns = list(summary["higher_is_better"])
    names = [column.partition("@")[0] for column in columns]
    heads = [f"{'↑' if METRICS[name].higher else '↓'} {HEADS[name]}" for name in names]
    lines = [f"| | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]
    for method, row in summary["scores"].items():
        title = title_of(method)
        cells = []
        for name, column in zip(names, columns, strict=True):
            digits = 1 if name.startswith("average") else 3
            half = (row[column]["high"] - row[column]["low"]) / 2
            text = f"{row[column]['mean']:.{digits}f} ± {half:.{digits}f}"
            cells.append(f"**{text}**" if summary["best"].get(column) == method else text)
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def sanity(summary: Mapping[str, Any]) -> list[str]:
    """Format methods × the part that was drawn last: mean resemblance, then its last interval and the verdict."""
    steps = [one["randomised"] for one in next(iter(summary["methods"].values()))["steps"]]
    lines = [f"| | {' | '.join(steps)} | 95 % | verdict |", "|---|" + "---:|" * len(steps) + "---|---|"]
    for method, result in summary["methods"].items():
        resemblances = [one["resemblance"] for one in result["steps"]]
        values = ["–" if one is None else two_decimals_text(one).replace("-", "−") for one in resemblances]
        last = result["steps"][-1]
        span = (
            "–"
            if last["low"] is None
            else f"{two_decimals_text(last['low'])} to {two_decimals_text(last['high'])}".replace("-", "−")
        )
        lines.append(f"| {title_of(method)} | {' | '.join(values)} | {span} | {result['verdict']} |")
    return lines


CONCEPT_METHODS = ("grad-cam", "combi-cam", "combi-cam-shallow", "gaussian")
FEWEST_VIEWS = 50


def concepts(summary: Mapping[str, Any]) -> list[str]:
    """Format concepts by prediction error × mean influence with its interval, where there are FEWEST_VIEWS views."""
    tables = {name: summary["methods"][name]["concepts"] for name in CONCEPT_METHODS}
    titles = [title_of(name) for name in CONCEPT_METHODS]
    lines = [f"| concept | error, km | views | {' | '.join(titles)} |", "|---|---|---:|" + "---:|" * len(titles)]
    for concept, rows in tables[CONCEPT_METHODS[0]].items():
        for number, row in enumerate(rows):
            means = [tables[name][concept][number]["mean"] for name in CONCEPT_METHODS]
            if row["images"] >= FEWEST_VIEWS and all(means):
                cells = [f"{one['value']:.2f} ({one['low']:.2f} to {one['high']:.2f})" for one in means]
                error = f"{row['low_km']:,g} to {row['high_km']:,g}"
                lines.append(f"| {concept} | {error} | {row['images']:,} | {' | '.join(cells)} |")
    return lines


TABLES: dict[str, Callable[..., list[str]]] = {
    "views": views,
    "brief-views": brief_views,
    "gate": gate,
    "faithfulness": faithfulness,
    "sanity": sanity,
    "concepts": concepts,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=tuple(TABLES))
    parser.add_argument("summaries", type=Path, nargs="+", metavar="SUMMARY")
    args = parser.parse_args()
    summaries = [json.loads(file.read_text(encoding="utf-8")) for file in args.summaries]
    print("\n".join(TABLES[args.table](*summaries)))


if __name__ == "__main__":
    main()
