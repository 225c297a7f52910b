"""What is left of explanations while weights are drawn anew, as a picture."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from geoexplain.evaluation.plot import DPI
from geoexplain.evaluation.sanity_tables import SetSanity
from geoexplain.explainer.sanity_verdict import DEPENDS_BELOW, SURVIVES_ABOVE

WIDTH_IN, HEIGHT_IN = 9.0, 5.2
LOWEST, HIGHEST = -0.55, 1.05
COLOURS = ("#1b6ca8", "#d1661c", "#3a7d44", "#8e44ad", "#b0871f", "#444444", "#c2185b", "#00838f", "#6d4c41")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
"""Together they tell the lines apart for colour-blind eyes, too."""


def plot_sanity(found: Mapping[str, SetSanity], title: str, file: Path) -> None:
    """Write a PNG: the mean resemblance to the original map by step, a line and its interval per method."""
    # Takes a second to import, which no evaluation should wait for before it begins.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.axhspan(LOWEST, DEPENDS_BELOW, color="#eef3ee")
    axes.axhline(SURVIVES_ABOVE, color="#aaaaaa", linewidth=0.8, linestyle="--")
    for number, (name, one) in enumerate(found.items()):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        # Side by side, or the intervals would hide one another.
        at = np.arange(len(one.steps)) + 0.06 * (number - (len(found) - 1) / 2)
        axes.plot(at, one.resemblances, color=colour, marker=marker, markersize=5, linewidth=1.2, label=name)
        # Of one image there is no interval; a line from end to end says so.
        lows, highs = np.clip(np.array(one.intervals).T, LOWEST, HIGHEST)
        axes.vlines(at, lows, highs, color=colour, linewidth=1.4)
    steps = next(iter(found.values())).steps if found else ()
    axes.set_xticks(range(len(steps)), steps, rotation=25, ha="right", fontsize=9)
    axes.set_xlabel("weights drawn anew, this part and all before it")
    axes.set_ylabel("resemblance to the map of the trained network\n0: as unrelated maps, 1: the same map")
    axes.set_ylim(LOWEST, HIGHEST)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if found:
        axes.legend(fontsize=8, framealpha=0.9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.suptitle(f"{title}\nmean over images and draws, 95 % interval over images", fontsize=10, parse_math=False)
    # Without the date and the version of matplotlib equal figures give equal files.
    figure.savefig(file, dpi=DPI, metadata={"Software": None})
