"""Methods × metrics as a picture: every mean with its interval, baselines set apart."""

import math
from collections.abc import Mapping
from pathlib import Path

from geoexplain.evaluation.explanations import Examination
from geoexplain.evaluation.plot import DPI
from geoexplain.evaluation.scoreboard import Scoreboard, Standing
from geoexplain.explainer.faithfulness import METRICS
from geoexplain.explainer.table import BASELINE as KNOWS_NOTHING
from geoexplain.explainer.table import of_family

COLUMNS = 4
PANEL_WIDTH_IN, ROW_HEIGHT_IN, MARGIN_IN = 2.7, 0.27, 1.1
METHOD, BASELINE, BEST = "#1b6ca8", "#8a8a8a", "#d1661c"
GAP = 0.6
"""Between methods and baselines, in rows."""


def plot_scoreboard(
    board: Scoreboard, stands: Mapping[str, Standing], examination: Examination, title: str, file: Path
) -> None:
    """Write a PNG: a panel per metric, a row per method, its mean and interval; nothing where there is none.

    A method that is better than all others and than all baselines is a diamond. Baselines are grey, below a line.
    """
    # Takes a second to import, which no evaluation should wait for before it begins.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    methods = [name for name in board if name not in of_family(KNOWS_NOTHING)]
    baselines = [name for name in board if name in of_family(KNOWS_NOTHING)]
    gap = GAP if methods and baselines else 0.0
    heights = {name: float(row) for row, name in enumerate(methods)}
    heights |= {name: len(methods) + gap + row for row, name in enumerate(baselines)}
    metrics = [name for name in METRICS if name in examination.metrics]
    across = min(COLUMNS, len(metrics))
    down = math.ceil(len(metrics) / across)
    size = across * PANEL_WIDTH_IN + MARGIN_IN, down * ((len(board) + 1) * ROW_HEIGHT_IN + MARGIN_IN)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    for metric, column, panel in zip(metrics, examination.columns, panels, strict=False):
        for name, height in heights.items():
            cell = board[name][column]
            if cell.images:
                wins = stands[column].best == name
                colour = BASELINE if name in of_family(KNOWS_NOTHING) else BEST if wins else METHOD
                # Of one image there is no interval.
                span = [cell.low, cell.high] if math.isfinite(cell.low) else [cell.mean, cell.mean]
                panel.plot(span, [height, height], color=colour, linewidth=1.6, solid_capstyle="butt")
                panel.plot(cell.mean, height, color=colour, marker="D" if wins else "o", markersize=5)
        if gap:
            panel.axhline(len(methods) - 0.5 + gap / 2, color="#444444", linewidth=0.8)
        higher = METRICS[metric].higher
        panel.set_title(f"{column}\n{'higher' if higher else 'lower'} is better", fontsize=9, parse_math=False)
        panel.grid(color="#dddddd", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
        panel.margins(x=0.1)
    panels[0].set_yticks(list(heights.values()), list(heights), fontsize=8)
    panels[0].set_ylim(max(heights.values()) + 0.6, -0.6)
    for panel in panels[len(metrics) :]:
        panel.set_visible(False)
    figure.suptitle(
        f"{title}\nmean and 95 % interval; a diamond is better than all others", fontsize=10, parse_math=False
    )
    # Without the date and the version of matplotlib equal figures give equal files.
    figure.savefig(file, dpi=DPI, metadata={"Software": None})
