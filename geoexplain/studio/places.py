"""Places in the studio: build the path down each tree for the browser, and parse the place that a request names."""

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
    """A place of a model: the index of its tree, and its index in that tree. Both exist."""

    tree: int
    place: int

    def shape(self, loaded: Loaded) -> Mapping[str, Any]:
        """Return the data with which the map marks the place."""
        return place_shape(loaded.trees[self.tree], self.place)


def asked_place(loaded: Loaded, asked: Mapping[str, Any]) -> Place | None:
    """Return the place that a request names; None if it names a cell. Raises gr.Error if the place does not exist."""
    if "place" not in asked:
        return None
    tree, place = whole_number(asked.get("tree")), whole_number(asked["place"])
    if not (0 <= tree < len(loaded.trees) and 0 <= place < len(loaded.trees[tree])):
        raise gr.Error("Expected a place of this model, got another: reload the page.", print_exception=False)
    return Place(tree, place)


def asked_explained(loaded: Loaded, asked: Mapping[str, Any]) -> Explained:
    """Return the cells of the place that a request names, or its cell (unchecked). Raises gr.Error without either."""
    place = asked_place(loaded, asked)
    return whole_number(asked.get("cell")) if place is None else cells_of(loaded, place)


def asked_target(loaded: Loaded, asked: Mapping[str, Any]) -> Explained | tuple[float, float]:
    """Return the same, or the point in degrees that a request names; its latitude is not checked."""
    if "place" in asked or "cell" in asked:
        return asked_explained(loaded, asked)
    return number(asked.get("lat")), (number(asked.get("lng")) + 180) % 360 - 180


def cells_of(loaded: Loaded, place: Place) -> CellGroup:
    """Return the cells of a place as one group to explain."""
    tree = loaded.trees[place.tree]
    return CellGroup(tree.labels[place.place], tuple(tree.cells(place.place).tolist()))


def places_payload(loaded: Loaded, prediction: Prediction, explained: Place | None) -> list[dict[str, Any]]:
    """Return the path of each tree: the most probable place of each level, through the explained one, and siblings.

    Each place comes with its probability and the data with which the map marks it.
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
        "levels": [_level(tree, path, place) for place in path.places if _adds_information(tree, path, place)],
        "explained": None if explained < 0 else explained,
        "elsewhere": None if path.elsewhere is None else _place(tree, path, path.elsewhere),
    }


def _adds_information(tree: PlaceTree, path: PlacePath, place: int) -> bool:
    """Return whether a place differs from its parent in name or probability: "Antarctica" in "Antarctica" may not."""
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
