"""Draw a partitioning on a world map that works offline: cells coloured by count, level by level, in one HTML page."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import folium
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geoexplain.geography.own_borders import own_borders
from geoexplain.geography.partition import Partition, polygon_rings
from geoexplain.geography.partitioning import Partitioning
from geoexplain.geography.ring_polygons import ring_polygon
from geoexplain.geography.sphere import destination
from geoexplain.view.cell_borders import few_corners
from geoexplain.view.map_page import fill_page, hex_colors
from geoexplain.view.polylines import encode_integers, encode_points
from geoexplain.words import counted, percent

PER_DEGREE = 100_000
"""Steps per degree of outlines and centres: about a metre, since a cell may be a street corner."""

MOST_CORNERS = 150_000
"""Largest number of corners of all cells of a level together."""

MOST_GUESSED = 5000
"""With more cells, those without a border are drawn as discs: a Voronoi diagram would not be worth its cost."""

DISC_KM = 15.0
MARGIN_DEG = 4.0
PARALLEL_DEG = 30.0
"""Latitude at which shapes are true: a compromise for the whole Earth."""

TRUE_SCALE_ZOOM = 15

# Dark cells on the light map, bright ones on the dark map, without the ends that look like the ground.
PALETTES = {"light": np.linspace(222, 30, 32), "dark": np.linspace(70, 245, 32)}


def partition_map(partitioning: Partitioning, *, dark: bool | None = None) -> folium.Map:
    """Return a folium map of a partitioning as a self-contained page.

    Cells are drawn with their borders and coloured by their number of coordinates on a logarithmic scale; a cell
    without a border is drawn around the points nearest to its centre. The page can switch between levels. Pointing at
    a cell shows its label, its count and the coarser cells that hold it; a click keeps that open.

    dark  colours for a dark page; None: as set in the browser
    """
    lost = int(partitioning.settings.get("in_no_cell", 0))
    total = int(partitioning.counts[0].sum()) + lost
    levels = [
        _level(replace(cells, borders=tuple(borders)), keys, counts, total)
        for cells, borders, keys, counts in zip(
            partitioning.levels, partitioning.borders, partitioning.keys, partitioning.counts, strict=True
        )
    ]
    data = {
        "title": partitioning.name,
        "kind": partitioning.kind,
        "coordinates": counted(total, "coordinate"),
        "lost": f"{lost:,}" if lost else "",
        "levels": levels[::-1],
        "palette": {theme: hex_colors(indices) for theme, indices in PALETTES.items()},
        "dark": dark,
        "parallelDeg": PARALLEL_DEG,
        "fit": _box(partitioning.levels[0].centers_deg),
    }
    chart = folium.Map(
        location=[20, 0],
        zoom_start=2,
        tiles=None,
        crs="EPSG4326",  # the page replaces it by its own projection
        prefer_canvas=True,
        font_size="12px",
        zoom_snap=0.25,
        zoom_delta=0.5,
        max_zoom=TRUE_SCALE_ZOOM,
        max_bounds=True,
        min_lon=-36000,
        max_lon=36000,
        max_bounds_viscosity=1.0,
    )
    fill_page(
        chart,
        "partitionmap.js",
        data,
        ["worldmap.css", "partitionmap.css"],
        title=f"geoexplain: {partitioning.name}",
    )
    return chart


def save_partition_map(path: Path, partitioning: Partitioning, *, dark: bool | None = None) -> None:
    """Write the page of `partition_map` to a file that opens anywhere, offline."""
    path.write_text(str(partition_map(partitioning, dark=dark).get_root().render()), encoding="utf-8")


def _level(cells: Partition, keys: Sequence[str], counts: NDArray[np.int64], total: int) -> dict[str, Any]:
    rings = [[ring[:-1] for ring in polygon_rings(shape)] for shape in few_corners(_shapes(cells), MOST_CORNERS)]
    flat = [ring for each in rings for ring in each]
    return {
        "labels": list(cells.labels),
        "keys": list(keys),
        "cells": f"{len(cells):,}",
        "counts": encode_integers(np.minimum(counts, 2**29)),
        "words": {str(count): _count_words(count, total) for count in np.unique(np.minimum(counts, 2**29)).tolist()},
        "ticks": _ticks(counts),
        "parents": None if cells.parents is None else encode_integers(cells.parents),
        "centers": encode_points(cells.centers_deg, PER_DEGREE),
        "parts": encode_integers([len(each) for each in rings]),
        "corners": encode_integers([len(ring) for ring in flat]),
        "rings": encode_points(np.concatenate(flat), PER_DEGREE),
        "perDegree": PER_DEGREE,
    }


def _count_words(count: int, total: int) -> list[str]:
    """Return a count as text: alone, with its noun, and with its share of all coordinates."""
    noun = counted(count, "coordinate")
    return [f"{count:,}", noun, f"{noun}, {percent(count / total)} of all" if total else noun]


def _ticks(counts: NDArray[np.int64]) -> list[str]:
    """Return the labels of the logarithmic scale of counts: the lowest above 0, a round number, the highest."""
    held = counts[counts > 0]
    if not len(held):
        return ["not known"]
    fewest, most = int(held.min()), int(held.max())
    middle = (fewest * most) ** 0.5
    if most > 20 * fewest:
        middle = float(f"{middle:.0e}")
    return [f"{round(tick):,}" for tick in ((fewest, middle, most) if most > fewest else (middle,))]


def _shapes(cells: Partition) -> list[BaseGeometry]:
    shapes = list(own_borders(cells))
    around = cells.outlines() if None in shapes and len(cells) <= MOST_GUESSED else None
    for cell, center in enumerate(cells.centers_deg):
        if shapes[cell] is None:
            ring = destination(center, np.linspace(0, 360, 17), DISC_KM) if around is None else around[cell]
            shapes[cell] = ring_polygon(ring, center)
    return [shapely.make_valid(shape) for shape in shapes if shape is not None]


def _box(centers_deg: NDArray[np.float64]) -> list[list[float]]:
    low, high = centers_deg.min(axis=0) - MARGIN_DEG, centers_deg.max(axis=0) + MARGIN_DEG
    return [
        [round(max(-90.0, float(low[0])), 2), round(max(-180.0, float(low[1])), 2)],
        [round(min(90.0, float(high[0])), 2), round(min(180.0, float(high[1])), 2)],
    ]
