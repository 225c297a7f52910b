"""On what explanations lie, as a picture."""

import math
from collections.abc import Mapping
from pathlib import Path

from geoexplain.evaluation.plot import DPI
from geoexplain.explainer.concepts import ConceptTable
from geoexplain.words import exact_km

PANEL_WIDTH_IN, ROW_IN, HEAD_IN = 3.6, 0.34, 1.1
PANELS_ACROSS = 3
COLOURS = ("#1b6ca8", "#d1661c", "#3a7d44", "#8e44ad", "#b0871f", "#444444")  # with the markers, for all eyes
MARKERS = ("o", "s", "^", "D", "v", "P")


def plot_concepts(tables: Mapping[str, ConceptTable], title: str, file: Path) -> None:
    """Write a PNG: a panel per method, the median ci of every concept and its interval, a colour per bin of errors."""
    # Takes a second to import, which no evaluation should wait for before it begins.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    concepts = sorted({row.concept for table in tables.values() for row in table.rows if row.median}, reverse=True)
    bins = sorted({(row.low_km, row.high_km) for table in tables.values() for row in table.rows})
    across = min(PANELS_ACROSS, len(tables))
    down = -(-len(tables) // across)
    size = (PANEL_WIDTH_IN * across + 2.4, down * (HEAD_IN + ROW_IN * max(len(concepts), 1)) + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (method, table) in zip(panels, tables.items(), strict=False):
        axes.axvline(1, color="#888888", linewidth=1, linestyle="--")
        for number, (low, high) in enumerate(bins):
            rows = [row for row in table.rows if (row.low_km, row.high_km) == (low, high) and row.median]
            # Side by side, or the intervals would hide one another.
            at = [concepts.index(row.concept) + 0.16 * ((len(bins) - 1) / 2 - number) for row in rows]
            style = {"color": COLOURS[number % len(COLOURS)], "label": f"{low:,g} to {exact_km(high)}"}
            axes.plot(
                [row.median.value for row in rows if row.median],
                at,
                linestyle="",
                marker=MARKERS[number % len(MARKERS)],
                markersize=4.5,
                **style,
            )
            spans = [row.median for row in rows if row.median]
            axes.hlines(at, [one.low for one in spans], [one.high for one in spans], color=style["color"])
        axes.set_title(method, fontsize=10)
        axes.set_yticks(range(len(concepts)), concepts, fontsize=9, parse_math=False)
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelbottom=True, labelsize=9)
    medians = [row.median for table in tables.values() for row in table.rows if row.median]
    highest = max([1.5, *(one.value if math.isnan(one.high) else one.high for one in medians)])
    panels[0].set(xlim=(-0.02 * highest, 1.05 * highest), ylim=(-0.6, max(len(concepts), 1) - 0.4))
    for axes in panels[len(tables) :]:
        axes.set_axis_off()
    if bins:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", title="error", fontsize=9)
    figure.supxlabel("concept influence", fontsize=10)
    figure.suptitle(
        f"{title}\nmedian over images, 95 % bootstrap interval; above 1, more than the concept's size would explain",
        fontsize=10,
        parse_math=False,
    )
    # Without the date and the version of matplotlib equal figures give equal files.
    figure.savefig(file, dpi=DPI, metadata={"Software": None})
