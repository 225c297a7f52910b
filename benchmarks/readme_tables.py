"""The tables of README.md and docs/measurements.md from the summaries that the evaluations wrote, as Markdown.

python -m benchmarks.readme_tables faithfulness benchmarks/faithfulness.json
python -m benchmarks.readme_tables sanity sanity/summary.json
"""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from geoexplain.explainer.baselines import BASELINES
from geoexplain.explainer.faithfulness import METRICS
from geoexplain.explainer.sanity_verdict import hundredths
from geoexplain.explainer.tuned import TITLES

BASELINE_TITLES = {"random": "random map", "gaussian": "centred Gaussian", "edges": "edges of the image"}
HEADS = {
    "deletion": "deletion",
    "insertion": "insertion",
    "average-drop": "average drop, %",
    "average-increase": "average increase, %",
    "adcc": "ADCC",
    "road-morf": "ROAD, most relevant first",
    "road-lerf": "ROAD, least relevant first",
}


def faithfulness(summary: Mapping[str, Any]) -> list[str]:
    """Methods × metrics, mean ± half of the interval; bold what is better than every other method and baseline."""
    columns = list(summary["higher_is_better"])
    names = [column.partition("@")[0] for column in columns]
    heads = [f"{'↑' if METRICS[name].higher else '↓'} {HEADS[name]}" for name in names]
    lines = [f"| | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]
    for method, row in summary["scores"].items():
        title = f"*{BASELINE_TITLES[method]}*" if method in BASELINES else TITLES[method]
        cells = []
        for name, column in zip(names, columns, strict=True):
            digits = 1 if name.startswith("average") else 3
            half = (row[column]["high"] - row[column]["low"]) / 2
            text = f"{row[column]['mean']:.{digits}f} ± {half:.{digits}f}"
            cells.append(f"**{text}**" if summary["best"].get(column) == method else text)
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def sanity(summary: Mapping[str, Any]) -> list[str]:
    """Methods × what was drawn last: mean resemblance, and at the end its interval and the verdict."""
    steps = [one["randomised"] for one in next(iter(summary["methods"].values()))["steps"]]
    lines = [f"| | {' | '.join(steps)} | 95 % | verdict |", "|---|" + "---:|" * len(steps) + "---|---|"]
    for method, found in summary["methods"].items():
        left = [one["resemblance"] for one in found["steps"]]
        values = ["–" if one is None else hundredths(one).replace("-", "−") for one in left]
        last = found["steps"][-1]
        span = (
            "–" if last["low"] is None else f"{hundredths(last['low'])} to {hundredths(last['high'])}".replace("-", "−")
        )
        lines.append(f"| {TITLES[method]} | {' | '.join(values)} | {span} | {found['verdict']} |")
    return lines


TABLES: dict[str, Callable[[Mapping[str, Any]], list[str]]] = {"faithfulness": faithfulness, "sanity": sanity}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=tuple(TABLES))
    parser.add_argument("summary", type=Path)
    args = parser.parse_args()
    print("\n".join(TABLES[args.table](json.loads(args.summary.read_text(encoding="utf-8")))))


if __name__ == "__main__":
    main()
