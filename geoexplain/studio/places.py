"""Places in the studio: the path down every tree for the browser, and a place that a browser asks to have explained."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from geoexplain.explainer.target import CellGroup, Explained
from geoexplain.geography.placetree import PlaceTree
from geoexplain.locator.prediction import Prediction
from geoexplain.studio.asked import number, whole_number
from geoexplain.studio.models import Loaded
from geoexplain.view.cell_borders import place_shape
from geoexplain.view.place_path import PlacePath, place_path, siblings
from geoexplain.words import counted, exact_percent, percent

RUNNERS_UP = 4
LEAST_SHARE = 1e-3

TITLES = {"territory": "Territory", "nature": "Nature"}


@dataclass(frozen=True)
class Place:
    """A place by the numbers of its tree among a model's and of itself in it; both exist."""

    tree: int
    place: int

    def shape(self, loaded: Loaded) -> Mapping[str, Any]:
        """What the map needs to mark it."""
        return place_shape(loaded.trees[self.tree], self.place)


def asked_place(loaded: Loaded, asked: Mapping[str, Any]) -> Place | None:
    """The place that a browser asks about; None where it asks about a cell. Raises gr.Error for one that is not."""
    if "place" not in asked:
        return None
    tree, place = whole_number(asked.get("tree")), whole_number(asked["place"])
    if not (0 <= tree < len(loaded.trees) and 0 <= place < len(loaded.trees[tree])):
        raise gr.Error("Expected a place of this model, got another: reload the page.", print_exception=False)
    return Place(tree, place)


def asked_explained(loaded: Loaded, asked: Mapping[str, Any]) -> Explained:
    """The cells of the place that a browser asks about, or the cell, which may not exist. Raises gr.Error for less."""
    place = asked_place(loaded, asked)
    return whole_number(asked.get("cell")) if place is None else cells_of(loaded, place)


def asked_target(loaded: Loaded, asked: Mapping[str, Any]) -> Explained | tuple[float, float]:
    """The same, or the point in degrees that a browser asks about, which may lie outside the Earth."""
    if "place" in asked or "cell" in asked:
        return asked_explained(loaded, asked)
    return number(asked.get("lat")), (number(asked.get("lng")) + 180) % 360 - 180


def cells_of(loaded: Loaded, place: Place) -> CellGroup:
    """The cells of a place, to be explained as one."""
    tree = loaded.trees[place.tree]
    return CellGroup(tree.labels[place.place], tuple(tree.cells(place.place).tolist()))


def places_payload(loaded: Loaded, prediction: Prediction, explained: Place | None) -> list[dict[str, Any]]:
    """For every tree the most probable place of every level, through the explained one, with those that stand beside.

    Each place comes with its share and what the map needs to mark it.
    """
    return [
        _tree_payload(number, tree, prediction, explained.place if explained and explained.tree == number else -1)
        for number, tree in enumerate(loaded.trees)
    ]


def _tree_payload(number: int, tree: PlaceTree, prediction: Prediction, explained: int) -> dict[str, Any]:
    path = place_path(tree, prediction, explained)
    return {
        "tree": number,
        "title": TITLES.get(tree.name, tree.name),
        "levels": [_level(tree, path, place) for place in path.places if _tells(tree, path, place)],
        "explained": None if explained < 0 else explained,
        "elsewhere": None if path.elsewhere is None else _place(tree, path, path.elsewhere),
    }


def _tells(tree: PlaceTree, path: PlacePath, place: int) -> bool:
    """Whether a place says more than the one above it: "Antarctica" in "Antarctica" with the same share does not."""
    above = int(tree.parents[place])
    return above < 0 or tree.labels[place] != tree.labels[above] or path.shares[place] != path.shares[above]


def _level(tree: PlaceTree, path: PlacePath, place: int) -> dict[str, Any]:
    beside = [other for other in siblings(tree, path, place) if path.shares[other] >= LEAST_SHARE]
    shown, others = beside[:RUNNERS_UP], beside[RUNNERS_UP:]
    rest = float(path.shares[others].sum())
    nothing = "" if shown else f" nothing above {exact_percent(LEAST_SHARE)}"
    return {
        **_place(tree, path, place),
        "instead": f"instead of {tree.labels[place]}:{nothing}",
        "beside": [_place(tree, path, other) for other in shown],
        "rest": f"{len(others):,} more: {percent(rest)}" if others else "",
    }


def _place(tree: PlaceTree, path: PlacePath, place: int) -> dict[str, Any]:
    share = float(path.shares[place])
    return {
        "place": place,
        "label": tree.labels[place],
        "kind": tree.kinds[place],
        "share": share,
        "percent": percent(share),
        "cells": counted(len(tree.cells(place)), "cell"),
        "shape": place_shape(tree, place),
    }
