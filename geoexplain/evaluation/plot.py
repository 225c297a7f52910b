"""The error of photos against the prediction density: a picture of how far the density can be trusted."""

import math
from collections.abc import Sequence
from pathlib import Path

from geoexplain.evaluation.figures import BIN_RADII_KM, DensityBin
from geoexplain.words import exact_km

WIDTH_IN, HEIGHT_IN, DPI = 8.0, 8.5, 120
COLOURS = ("#1b6ca8", "#d1661c", "#3a7d44")  # told apart by colour-blind eyes too, with the markers below
MARKERS = ("o", "s", "^")


def plot_error_by_density(bins: Sequence[DensityBin], title: str, scale_km: float, file: Path) -> None:
    """Write a PNG: for each bin of the prediction density the number of photos, their accuracy and median error.

    bins      equal bins of [0, 1]
    title     above the picture
    scale_km  of the published prediction density
    """
    # Takes a second to import, which no evaluation should wait for before it begins.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    # A canvas of its own, since pyplot's global state is for one thread and may want a screen.
    figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
    FigureCanvasAgg(figure)
    shares, medians, counts = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.4))
    filled = [b for b in bins if b.figures.photos]
    middle = [(b.low + b.high) / 2 for b in filled]
    width = 0.9 * (bins[0].high - bins[0].low)
    for radius, colour, marker in zip(BIN_RADII_KM, COLOURS, MARKERS, strict=True):
        percent = [100 * b.figures.accuracy_by_km[radius] for b in filled]
        shares.plot(middle, percent, color=colour, marker=marker, label=f"within {exact_km(radius)}")
    shares.set_ylabel("share of photos, %")
    shares.set_ylim(-4, 104)
    shares.legend(loc="upper left", framealpha=0.9)
    # No error is drawn below 10 m: a logarithm has no place for a median of nothing.
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
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=11, parse_math=False)  # a file's name may hold dollars
    # Without the date and the version of matplotlib equal figures give equal files.
    figure.savefig(file, dpi=DPI, metadata={"Software": None})


def _short(b: DensityBin) -> str:
    return "–" if math.isnan(b.figures.median_error_km) else f"{b.figures.median_error_km:.2g}"
