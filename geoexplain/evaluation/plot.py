"""The plots of evaluations, as PNG files: equal findings give equal files."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geoexplain.evaluation.figures import BIN_RADII_KM, DensityBin
from geoexplain.evaluation.methods import baseline_methods
from geoexplain.evaluation.sanity_tables import SetSanity
from geoexplain.evaluation.scoreboard import Scores
from geoexplain.explainer.concepts import ConceptTable
from geoexplain.explainer.sanity_verdict import DEPENDS_BELOW, SURVIVES_ABOVE
from geoexplain.words import exact_km

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 120
COLOURS = ("#1b6ca8", "#d1661c", "#3a7d44", "#8e44ad", "#b0871f", "#444444", "#c2185b", "#00838f", "#6d4c41")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
"""Markers, which together with the colours distinguish lines, for colour-blind readers, too."""

METHOD, BASELINE, BEST = "#1b6ca8", "#8a8a8a", "#d1661c"
SCORES_ACROSS = 4
SCORE_WIDTH_IN, SCORE_HEIGHT_IN, SCORE_MARGIN_IN = 2.7, 0.27, 1.1
GAP = 0.6
"""Gap between methods and baselines, in rows."""

LOWEST_RESEMBLANCE, HIGHEST_RESEMBLANCE = -0.55, 1.05

CONCEPTS_ACROSS = 3
CONCEPTS_WIDTH_IN, CONCEPT_HEIGHT_IN, CONCEPTS_HEAD_IN = 3.6, 0.34, 1.1


def new_figure(width_in: float, height_in: float) -> "Figure":
    """Return an empty figure with its own canvas: pyplot's global state is not thread-safe and may need a display."""
    # Imported here since it takes a second, which would delay the start of every evaluation.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def add_grid(axes: "Axes") -> None:
    """Draw the grid behind the data, and hide the frame at the top and right."""
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: "Figure", title: str, file: Path, *, fontsize: float = 10) -> None:
    """Write a figure as a PNG file under its title; equal figures give equal files."""
    figure.suptitle(title, fontsize=fontsize, parse_math=False)  # a file's name may hold dollars
    # Without the date and the version of matplotlib equal figures give equal files.
    figure.savefig(file, dpi=DPI, metadata={"Software": None})


def plot_error_by_density(bins: Sequence[DensityBin], title: str, scale_km: float, file: Path) -> None:
    """Write a PNG: for each bin of the prediction density the number of photos, their accuracy and median error.

    bins      equal bins of [0, 1]
    title     above the picture
    scale_km  of the published prediction density
    """
    figure = new_figure(8.0, 8.5)
    shares, medians, counts = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.4))
    filled = [b for b in bins if b.figures.photos]
    middle = [(b.low + b.high) / 2 for b in filled]
    width = 0.9 * (bins[0].high - bins[0].low)
    for radius, colour, marker in zip(BIN_RADII_KM, COLOURS, MARKERS, strict=False):
        percent = [100 * b.figures.accuracy_by_km[radius] for b in filled]
        shares.plot(middle, percent, color=colour, marker=marker, label=f"within {exact_km(radius)}")
    shares.set_ylabel("share of photos, %")
    shares.set_ylim(-4, 104)
    shares.legend(loc="upper left", framealpha=0.9)
    # Errors are drawn as at least 10 m: a logarithmic axis cannot show 0.
    medians.semilogy(middle, [max(b.figures.median_error_km, 0.01) for b in filled], color="#444444", marker="D")
    medians.set_ylabel("median error, km")
    for x, b in zip(middle, filled, strict=True):
        label = f"{b.figures.median_error_km:,.0f}" if b.figures.median_error_km >= 10 else _short(b)
        medians.annotate(
            label,
            (x, max(b.figures.median_error_km, 0.01)),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    medians.margins(y=0.18)
    bars = counts.bar([(b.low + b.high) / 2 for b in bins], [b.figures.photos for b in bins], width, color="#b8c4cc")
    counts.bar_label(bars, [f"{b.figures.photos:,}" for b in bins], fontsize=8, padding=2)
    counts.set_ylabel("photos")
    counts.margins(y=0.25)
    counts.set_xlabel(
        f"published prediction density: probability of cells centred within {exact_km(scale_km)} of the top one"
    )
    counts.set_xlim(bins[0].low, bins[-1].high)
    counts.set_xticks([b.low for b in bins] + [bins[-1].high])
    for axes in (shares, medians, counts):
        add_grid(axes)
    save_figure(figure, title, file, fontsize=11)


def plot_scores(scores: Scores, title: str, file: Path) -> None:
    """Write a PNG: a panel per metric, a row per method, its mean and interval; nothing where there is none.

    A method that is better than all others and than all baselines is a diamond. Baselines are grey, below a line.
    """
    board = scores.board
    methods = [name for name in board if name not in baseline_methods()]
    baselines = [name for name in board if name in baseline_methods()]
    gap = GAP if methods and baselines else 0.0
    heights = {name: float(row) for row, name in enumerate(methods)}
    heights |= {name: len(methods) + gap + row for row, name in enumerate(baselines)}
    metrics = scores.higher_is_better
    across = min(SCORES_ACROSS, len(metrics))
    down = math.ceil(len(metrics) / across)
    height_in = down * ((len(board) + 1) * SCORE_HEIGHT_IN + SCORE_MARGIN_IN)
    figure = new_figure(across * SCORE_WIDTH_IN + SCORE_MARGIN_IN, height_in)
    panels = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    for (column, higher), panel in zip(metrics.items(), panels, strict=False):
        for name, height in heights.items():
            cell = board[name][column]
            if cell.images:
                wins = scores.standings[column].best == name
                colour = BASELINE if name in baseline_methods() else BEST if wins else METHOD
                # One image has no interval.
                span = [cell.low, cell.high] if math.isfinite(cell.low) else [cell.mean, cell.mean]
                panel.plot(span, [height, height], color=colour, linewidth=1.6, solid_capstyle="butt")
                panel.plot(cell.mean, height, color=colour, marker="D" if wins else "o", markersize=5)
        if gap:
            panel.axhline(len(methods) - 0.5 + gap / 2, color="#444444", linewidth=0.8)
        panel.set_title(f"{column}\n{'higher' if higher else 'lower'} is better", fontsize=9, parse_math=False)
        add_grid(panel)
        panel.tick_params(labelsize=8)
        panel.margins(x=0.1)
    panels[0].set_yticks(list(heights.values()), list(heights), fontsize=8)
    panels[0].set_ylim(max(heights.values()) + 0.6, -0.6)
    for panel in panels[len(metrics) :]:
        panel.set_visible(False)
    save_figure(figure, f"{title}\nmean and 95 % interval; a diamond is better than all others", file)


def plot_sanity(found: Mapping[str, SetSanity], title: str, file: Path) -> None:
    """Write a PNG: the mean resemblance to the original map by step, a line and its interval per method."""
    figure = new_figure(9.0, 5.2)
    axes = figure.subplots()
    axes.axhspan(LOWEST_RESEMBLANCE, DEPENDS_BELOW, color="#eef3ee")
    axes.axhline(SURVIVES_ABOVE, color="#aaaaaa", linewidth=0.8, linestyle="--")
    for number, (name, one) in enumerate(found.items()):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        # Side by side, so that intervals do not overlap.
        at = np.arange(len(one.steps)) + 0.06 * (number - (len(found) - 1) / 2)
        axes.plot(at, one.resemblances, color=colour, marker=marker, markersize=5, linewidth=1.2, label=name)
        # Of one image there is no interval; a line from end to end says so.
        lows, highs = np.clip(np.array(one.intervals).T, LOWEST_RESEMBLANCE, HIGHEST_RESEMBLANCE)
        axes.vlines(at, lows, highs, color=colour, linewidth=1.4)
    steps = next(iter(found.values())).steps if found else ()
    axes.set_xticks(range(len(steps)), steps, rotation=25, ha="right", fontsize=9)
    axes.set_xlabel("weights drawn anew, this part and all before it")
    axes.set_ylabel("resemblance to the map of the trained network\n0: as unrelated maps, 1: the same map")
    axes.set_ylim(LOWEST_RESEMBLANCE, HIGHEST_RESEMBLANCE)
    add_grid(axes)
    if found:
        axes.legend(fontsize=8, framealpha=0.9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    save_figure(figure, f"{title}\nmean over images and draws, 95 % interval over images", file)


def plot_concepts(tables: Mapping[str, ConceptTable], title: str, file: Path) -> None:
    """Write a PNG: a panel per method, the median ci of every concept and its interval, a colour per bin of errors."""
    concepts = sorted({row.concept for table in tables.values() for row in table.rows if row.median}, reverse=True)
    bins = sorted({(row.low_km, row.high_km) for table in tables.values() for row in table.rows})
    across = min(CONCEPTS_ACROSS, len(tables))
    down = -(-len(tables) // across)
    height_in = down * (CONCEPTS_HEAD_IN + CONCEPT_HEIGHT_IN * max(len(concepts), 1)) + 0.8
    figure = new_figure(CONCEPTS_WIDTH_IN * across + 2.4, height_in)
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (method, table) in zip(panels, tables.items(), strict=False):
        axes.axvline(1, color="#888888", linewidth=1, linestyle="--")
        for number, (low, high) in enumerate(bins):
            rows = [row for row in table.rows if (row.low_km, row.high_km) == (low, high) and row.median]
            # Side by side, so that intervals do not overlap.
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
        add_grid(axes)
        axes.tick_params(labelbottom=True, labelsize=9)
    medians = [row.median for table in tables.values() for row in table.rows if row.median]
    highest = max([1.5, *(one.value if math.isnan(one.high) else one.high for one in medians)])
    panels[0].set(xlim=(-0.02 * highest, 1.05 * highest), ylim=(-0.6, max(len(concepts), 1) - 0.4))
    for axes in panels[len(tables) :]:
        axes.set_axis_off()
    if bins:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", title="error", fontsize=9)
    figure.supxlabel("concept influence", fontsize=10)
    words = "median over images, 95 % bootstrap interval; above 1, more than the concept's size would explain"
    save_figure(figure, f"{title}\n{words}", file)


def _short(b: DensityBin) -> str:
    return "–" if math.isnan(b.figures.median_error_km) else f"{b.figures.median_error_km:.2g}"
