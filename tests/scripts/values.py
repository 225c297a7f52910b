"""What the scripts' functions are held against: inputs, and what the Python functions make of them, as plain data."""

import base64
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from shapely.geometry import box

from geoexplain.explainer.cams import StageMap, is_flat
from geoexplain.explainer.combine import COMBINATIONS, DIVISORS, FOLDS, Combination, combine, combine_pair
from geoexplain.explainer.contrast import subtract_heatmaps
from geoexplain.geography.partition import Partition
from geoexplain.geography.partitioning import Partitioning
from geoexplain.geography.sphere import destination, great_circle_km
from geoexplain.locator.model import LocalizableRule
from geoexplain.locator.prediction import Prediction, prediction_density
from geoexplain.locator.spread import spread_probability
from geoexplain.studio.payload import encode, menu
from geoexplain.view.density import density_curve
from geoexplain.view.diverging import (
    DARKEST_GREY,
    HERE_RGB,
    LIGHTEST_GREY,
    STRONGEST_OPACITY,
    THERE_RGB,
    scaled,
    two_coloured,
)
from geoexplain.view.overlay import COLORMAPS, colorize, colormap_lut, normalise
from geoexplain.view.partition_map import partition_map
from geoexplain.view.polylines import cell_ring, encode_integers, encode_points
from geoexplain.view.worldmap import world_map_html
from geoexplain.words import percent

BLEND_TOLERANCE = 5e-5
"""Of a display range of 0 to 1, in which one step of colour is 1/255. What is left is float32: it places a pixel
between its neighbours with an error of 1e-5, and at an edge a pixel's value follows."""

# The seven stages of an EfficientNet for an input of 224 px, square and of another shape.
SQUARE = [(112, 112), (56, 56), (28, 28), (14, 14), (14, 14), (7, 7), (7, 7)]
WIDE = [(112, 149), (56, 75), (28, 38), (14, 19), (14, 19), (7, 10), (7, 10)]
TALL = [(75, 56), (38, 28), (19, 14), (10, 7)]
SIZES = {
    "square": (SQUARE, (224, 224)),
    "wide": (WIDE, (224, 299)),
    "tall": (TALL, (300, 224)),
    "one pixel": ([(1, 1), (1, 3), (3, 1)], (40, 24)),
}
PARALLEL_DEG = 30.0


def values() -> dict[str, Any]:
    """Everything that tests/scripts/*.test.js read, by the names that they use."""
    partitioning = nested_partitioning()
    return {
        "blend": {
            "blends": [*blends(), *possible_blends()],
            "upsampled": list(upsampled()),
            "colours": list(colours()),
            "tolerance": BLEND_TOLERANCE,
            "combinations": menu()["combinations"],
        },
        "diverging": {"pairs": list(pairs()), "picture": picture(), "combinations": menu()["combinations"]},
        "density": list(densities()),
        "geometry": {
            "integers": integers(),
            "points": list(points()),
            "projections": list(projections()),
            "rings": list(rings()),
        },
        "cells": {
            "linear": linear(PARALLEL_DEG),
            "partition": cells_of_a_partition(),
            "partitioning": levels_of(partitioning),
        },
        "scene": scene(),
        "partitioning": chains_of(partitioning),
    }


def floats(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode()


def embedded(page: str) -> dict[str, Any]:
    return json.loads(re.search(r'<script type="application/json" id="geoexplain-data">(.*?)</script>', page)[1])


# ---- blending


def stage_map(values: np.ndarray, index: int = 1) -> StageMap:
    values = values.astype(np.float32)
    return StageMap(values, index, "stage", "grad-cam", 0, "probability", is_flat(values))


def random_maps(shapes: Sequence[tuple[int, int]], rng: np.random.Generator) -> list[StageMap]:
    """Rectified noise whose magnitude falls by orders from stage to stage, as raw maps of gradients do."""
    maps = []
    for index, shape in enumerate(shapes, 1):
        values = np.maximum(rng.normal(0.2, 1.0, shape), 0) * 10.0 ** rng.uniform(-9, 2)
        maps.append(stage_map(values, index))
    return maps


def sent(stage_map: StageMap) -> dict[str, Any]:
    h, w = stage_map.values.shape
    return {"values": encode(stage_map), "h": h, "w": w}


def blends() -> Iterator[dict[str, Any]]:
    for how in COMBINATIONS:
        blended = partial(blend, how)
        for case, (shapes, size_hw) in SIZES.items():
            rng = np.random.default_rng([sorted(SIZES).index(case), sorted(COMBINATIONS).index(how)])
            for turn in range(3):
                maps = random_maps(shapes, rng)
                weights = np.round(rng.uniform(0, 2, len(maps)) * rng.integers(0, 2, len(maps)), 2)
                weights[rng.integers(len(maps))] = 1.35
                yield blended(f"random maps, {case}, {turn}", maps, weights.tolist(), size_hw)
        rng = np.random.default_rng(5)
        maps = random_maps(SQUARE, rng)
        maps[1] = stage_map(np.zeros((56, 56)), 2)
        maps[3] = stage_map(np.full((14, 14), 0.7), 4)
        maps[5] = stage_map(0.3 + 1e-9 * rng.random((7, 7)), 6)
        yield blended("flat maps among others", maps, [1.0] * 7, (224, 224), flat=False)
        for value in (0.0, 0.4):
            maps = [stage_map(np.full(shape, value), i) for i, shape in enumerate(SQUARE, 1)]
            yield blended(f"nothing but {value}", maps, [1.0] * 7, (224, 224), flat=True)
        maps = random_maps(SQUARE, np.random.default_rng(6))
        yield blended("all weights zero", maps, [0.0] * 7, (224, 224), flat=True)


def blend(
    how: str,
    name: str,
    maps: Sequence[StageMap],
    weights: list[float],
    size_hw: tuple[int, int],
    flat: bool | None = None,
) -> dict[str, Any]:
    expected = combine(maps, weights, how, size_hw)
    assert flat is None or expected.flat is flat
    return {
        "name": f"{how}, {name}",
        "maps": [sent(each) for each in maps],
        "weights": weights,
        "how": how,
        "way": {"name": how, **asdict(COMBINATIONS[how])},
        "size": size_hw,
        "flat": expected.flat,
        "shown": floats(normalise(expected.values)),
    }


def possible_blends() -> Iterator[dict[str, Any]]:
    """Every row that the table of ways of combining could hold."""
    rng = np.random.default_rng(8)
    for divide, gamma, fold in product(DIVISORS, (None, 0.5, 3.0), FOLDS):
        # Magnitudes near 1, so that tanh of what is divided by nothing is neither 0 nor 1 throughout.
        maps = [stage_map(rng.random(shape), index) for index, shape in enumerate(TALL, 1)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(COMBINATIONS, "made-up", Combination("Made up", divide, gamma, fold))
            name = f"divided by {divide}, gamma {gamma}, {fold}"
            yield blend("made-up", name, maps, [1.0, 0.0, 0.35, 2.0], SIZES["tall"][1])


def upsampled() -> Iterator[dict[str, Any]]:
    size_hw = (224, 299)
    for shape in [(112, 112), (14, 19), (10, 7), (7, 7), (3, 1), (1, 1)]:
        source = stage_map(np.random.default_rng(7).random(shape))
        grid = torch.from_numpy(source.values)[None, None].double()
        expected = F.interpolate(grid, size_hw, mode="bilinear", align_corners=True)[0, 0].numpy()
        yield {"name": f"{shape}", **sent(source), "size": size_hw, "expected": floats(expected)}


def colours() -> Iterator[dict[str, Any]]:
    shown = normalise(np.random.default_rng(8).random((20, 30)).astype(np.float32))
    for name in COLORMAPS:
        opaque = np.full((*shown.shape, 1), 255, np.uint8)
        expected = np.concatenate([colorize(shown, name), opaque], axis=-1)
        lut = base64.b64encode(colormap_lut(name).tobytes()).decode()
        yield {"name": name, "map": floats(shown), "lut": lut, "expected": expected.ravel().tolist()}


# ---- two cells against each other


def pairs() -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(9)
    for how in COMBINATIONS:
        here, there = random_maps(TALL, rng), random_maps(TALL, rng)
        yield pair(f"{how}, random maps", here, there, [1.0, 0.0, 0.5, 2.0], how)
        yield pair(f"{how}, the same cell twice", here, here, [1.0] * 4, how)
        flat = [stage_map(np.full(shape, 0.3), i) for i, shape in enumerate(TALL, 1)]
        yield pair(f"{how}, flat maps of one side", here, flat, [1.0] * 4, how)


def pair(
    name: str, here: Sequence[StageMap], there: Sequence[StageMap], weights: list[float], how: str
) -> dict[str, Any]:
    size_hw = SIZES["tall"][1]
    expected = subtract_heatmaps(*combine_pair(here, there, weights, how, size_hw))
    return {
        "name": name,
        "here": [sent(each) for each in here],
        "there": [sent(each) for each in there],
        "weights": weights,
        "how": how,
        "size": size_hw,
        "expected": None if expected.flat else floats(scaled(expected.values)),
    }


def picture() -> dict[str, Any]:
    rng = np.random.default_rng(10)
    shown = scaled(rng.uniform(-1, 1, (12, 17)))
    greys = rng.integers(0, 256, (12, 17), dtype=np.uint8)
    return {
        "values": floats(shown),
        "greys": greys.ravel().tolist(),
        "look": {"here": HERE_RGB, "there": THERE_RGB, "darkest": DARKEST_GREY, "lightest": LIGHTEST_GREY},
        "opacity": STRONGEST_OPACITY,
        "expected": np.asarray(two_coloured(Image.fromarray(greys), shown)).ravel().tolist(),
    }


# ---- what the rule counts


def lattice(count: int) -> np.ndarray:
    """Fibonacci lattice: points spread evenly over the sphere."""
    i = np.arange(count) + 0.5
    return np.stack([np.degrees(np.arcsin(1 - 2 * i / count)), (137.50776405 * i + 180) % 360 - 180], axis=1)


def partition_of(centers_deg: np.ndarray) -> Partition:
    return Partition("test", tuple(f"cell {i}" for i in range(len(centers_deg))), centers_deg)


def prediction_of(partition: Partition, seed: int) -> Prediction:
    shares = np.random.default_rng(seed).dirichlet(np.full(len(partition), 0.05))
    best = int(shares.argmax())
    lat, lon = partition.centers_deg[best]
    spread = spread_probability(shares, partition, [lat, lon])
    return Prediction(
        best, shares, float(lat), float(lon), {}, LocalizableRule(), 0.0, True, "cell centre", spread=spread
    )


def densities() -> Iterator[dict[str, Any]]:
    for count in (7, 300):
        partition = partition_of(lattice(count))
        prediction = prediction_of(partition, count)
        curve = density_curve(prediction, partition)
        scales_km = [0.0, 25.0, 750.0, 2500.5, 12_345.0, 20_100.0]
        yield {
            "name": f"{count} cells",
            "curve": {
                "km": curve[:, 0].tolist(),
                "share": curve[:, 1].tolist(),
                "percent": [percent(share) for share in curve[:, 1]],
            },
            "scales": [
                {"km": km, "share": share, "percent": percent(share)}
                for km in scales_km
                for share in [prediction_density(prediction.probabilities, partition, prediction.cell, km)]
            ],
        }


# ---- lines and cells on the map


def linear(parallel_deg: float) -> dict[str, list[float]]:
    """The projection in pixels at zoom 0, where the Earth is 256 high: true to shape at one parallel, west at 0."""
    per_lat = 256 / 180
    per_lon = per_lat * float(np.cos(np.radians(parallel_deg)))
    return {"x": [per_lon, 180 * per_lon], "y": [-per_lat, 90 * per_lat]}


def integers() -> dict[str, Any]:
    numbers = [0, 1, -1, 15, 16, -16, -17, 2**29, -(2**29), *np.random.default_rng(1).integers(-(10**6), 10**6, 200)]
    return {"values": [int(number) for number in numbers], "text": encode_integers(numbers)}


def points() -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(2)
    anywhere = np.stack([rng.uniform(-90, 90, 300), rng.uniform(-180, 180, 300)], axis=1)
    beyond = np.stack([np.linspace(-5, 5, 50), np.linspace(170, 560, 50)], axis=1)
    for name, found, per_degree in [
        ("anywhere", anywhere, 100),
        ("to the metre", anywhere, 100_000),
        ("beyond 180°", beyond, 100),
    ]:
        text = encode_points(found, per_degree)
        yield {"name": name, "text": text, "perDegree": per_degree, "degrees": found.ravel().tolist()}


def projections() -> Iterator[dict[str, Any]]:
    for parallel in (0.0, 30.0, 60.0):
        narrow = np.cos(np.radians(parallel))
        places = [(90, -180), (-90, 180), (0, 0), (51.5, -0.1), (-41.3, 174.8), (71, -190)]
        yield {
            "parallel": parallel,
            "linear": linear(parallel),
            "places": [
                {"lat": lat, "lon": lon, "x": narrow * (lon + 180) * 256 / 180, "y": (90 - lat) * 256 / 180}
                for lat, lon in places
            ],
        }


def rings() -> Iterator[dict[str, Any]]:
    """Rings of cells with the corners that are to be drawn: a ring around a pole goes on along it."""
    bearings = np.arange(0, 360, 30)
    for name, center in [
        ("a cell in Europe", (48.0, 11.0)),
        ("a cell across the antimeridian", (-17.0, 179.5)),
        ("a cell around the north pole", (88.0, 20.0)),
        ("a cell around the south pole", (-89.0, -100.0)),
    ]:
        outline = destination(np.array(center), bearings, np.full(len(bearings), 700.0))
        ring = cell_ring(outline)
        corners = [tuple(corner) for corner in ring]
        if abs(ring[-1, 1] - ring[0, 1]) > 180:
            pole = float(np.copysign(90, center[0]))
            corners += [(pole, ring[-1, 1]), (pole, ring[0, 1])]
        (per_lon, west), (per_lat, north) = linear(PARALLEL_DEG).values()
        yield {
            "name": name,
            "text": encode_points(ring),
            "linear": linear(PARALLEL_DEG),
            "corners": [[per_lon * lon + west, per_lat * lat + north] for lat, lon in corners],
        }


def cells_of_a_partition() -> dict[str, Any]:
    partition = partition_of(lattice(200))
    rng = np.random.default_rng(3)
    places = [(90.0, 0.0), (-90.0, 0.0), (0.0, 180.0), (0.0, -180.0), (-17.0, 179.9), (-17.0, -179.9)]
    places += [(float(lat), float(lon)) for lat, lon in rng.uniform([-90, -180], [90, 180], (60, 2))]
    rings = [cell_ring(outline) for outline in partition.outlines()]
    nearest = []
    for lat, lon in places:
        far_km = great_circle_km([lat, lon], partition.centers_deg)
        first, second = np.sort(far_km)[:2]
        if second - first > 5:  # centres are sent to a kilometre
            nearest.append({"lat": lat, "lon": lon, "cell": int(far_km.argmin())})
    assert len(nearest) > 50
    return {
        "data": embedded(world_map_html(prediction_of(partition, 4), partition)),
        "centers": partition.centers_deg.tolist(),
        "latitudes": [[float(ring[:, 0].min()), float(ring[:, 0].max())] for ring in rings],
        "nearest": nearest,
    }


def nested_partitioning() -> Partitioning:
    """Two coarse cells of three fine ones each; one lies across the antimeridian, one holds nothing."""
    fine = [box(lon, 0, lon + 10, 10) for lon in (0, 10, 20)] + [
        box(lon, -40, lon + 10, -20) for lon in (160, 170, 180)
    ]
    coarse = [box(0, 0, 30, 10), box(160, -40, 190, -20)]

    def level(name: str, borders: list[Any], parents: list[int] | None) -> Partition:
        centers = np.array([[each.centroid.y, (each.centroid.x + 180) % 360 - 180] for each in borders])
        labels = tuple(f"{name} {i}" for i in range(len(borders)))
        return Partition("test", labels, centers, parents=None if parents is None else np.array(parents))

    levels = (level("fine", fine, [0, 0, 0, 1, 1, 1]), level("coarse", coarse, None))
    return Partitioning(
        "test",
        "semantic",
        levels,
        tuple(tuple(cells.labels) for cells in levels),
        (np.array([1, 10, 400, 5, 0, 70]), np.array([411, 75])),
        (tuple(fine), tuple(coarse)),
        levels[0].nearest_many,
    )


def levels_of(partitioning: Partitioning) -> list[dict[str, Any]]:
    """Coarse to fine, as the page has them."""
    data = embedded(partition_map(partitioning).get_root().render())["levels"]
    (per_lon, west), (per_lat, north) = linear(PARALLEL_DEG).values()
    found = []
    for sent, cells, counts, borders in zip(
        data, partitioning.levels[::-1], partitioning.counts[::-1], partitioning.borders[::-1], strict=True
    ):
        known = counts[counts > 0]
        fewest, most = int(known.min()), int(known.max())
        share = np.log(np.maximum(counts, fewest) / fewest) / np.log(most / fewest)
        bounds = [shape.bounds for shape in borders]
        found.append(
            {
                "data": sent,
                "counts": counts.tolist(),
                "centers": cells.centers_deg.tolist(),
                "fewest": fewest,
                "most": most,
                "buckets": np.bincount(np.rint(31 * share).astype(int), minlength=32).tolist(),
                "parents": None if cells.parents is None else cells.parents.tolist(),
                "boxes": [
                    [per_lon * w + west, per_lat * n + north, per_lon * e + west, per_lat * s + north]
                    for w, s, e, n in bounds
                ],
            }
        )
    return found


def chains_of(partitioning: Partitioning) -> dict[str, Any]:
    finest = partitioning.levels[0]
    return {
        "levels": embedded(partition_map(partitioning).get_root().render())["levels"],
        "chains": [{"cell": cell, "chain": [cell, int(finest.parents[cell])]} for cell in range(len(finest))],
    }


def scene() -> dict[str, Any]:
    partition = partition_of(lattice(50))
    prediction = prediction_of(partition, 5)
    data = embedded(world_map_html(prediction, partition))
    texts = [percent(share) for share in prediction.probabilities]
    return {"data": data | {"tiles": True}, "palette": data["palette"], "percents": texts}
