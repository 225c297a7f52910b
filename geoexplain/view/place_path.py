"""The path of most probable places down a tree, and the name of the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoexplain.geography.placetree import PlaceTree
from geoexplain.locator.prediction import Prediction

LONGEST_NAME = 4
"""Largest number of places in a name such as "Wadi Rum, Ma'an, Jordan"."""

ENDS_A_NAME = ("country", "sea", "subregion", "continent", "ocean")
"""Kinds of places after which a name needs no larger one."""

HALF = 0.5
"""Smallest probability of a place that is called the answer."""

ROUNDING = 1e-9

UNDECIDED = "No place holds half of the probability"


@dataclass(frozen=True, eq=False)
class PlacePath:
    """The most probable place of every level, coarse to fine, with the probabilities of all places.

    places     indices of the tree's places, each in the one before
    shares     float64 (M,): the probability of every place of the tree, including all places in it
    best       the places that hold the most probable cell, coarse to fine; empty if no place holds it
    elsewhere  the first place of `best` that differs from `places`; None if none does
    """

    places: tuple[int, ...]
    shares: NDArray[np.float64]
    best: tuple[int, ...]
    elsewhere: int | None


def place_path(tree: PlaceTree, prediction: Prediction, through: int = -1) -> PlacePath:
    """Follow the most probable places from the root down.

    The path ends at a place whose cells outside all its children are more probable than each child, unless the most
    probable child holds the best cell.

    through  index of a place that the path must contain; below it, it follows the most probable places again

    Raises DataError for a tree of another partition.
    """
    shares = tree.shares(prediction.probabilities)
    held = tree.of_cell >= 0
    direct = np.bincount(tree.of_cell[held], weights=prediction.probabilities[held], minlength=len(tree))
    best = tuple(reversed(tree.path(int(tree.of_cell[prediction.cell]))))
    places = list(reversed(tree.path(through)))
    while True:
        children = np.flatnonzero(tree.parents == (places[-1] if places else -1))
        if not len(children):
            break
        child = int(children[np.argmax(shares[children])])
        if places and shares[child] < direct[places[-1]] and child not in best:
            break
        places.append(child)
    shared = next((i for i, (one, other) in enumerate(zip(places, best, strict=False)) if one != other), None)
    return PlacePath(tuple(places), shares, best, None if shared is None else best[shared])


def siblings(tree: PlaceTree, path: PlacePath, place: int) -> list[int]:
    """Return the siblings of a place with a probability above 0, the most probable first."""
    beside = np.flatnonzero((tree.parents == tree.parents[place]) & (path.shares > 0))
    ranked = beside[np.argsort(-path.shares[beside], kind="stable")]
    return [int(other) for other in ranked if other != place]


def headline(trees: Sequence[PlaceTree], labels: Sequence[str], prediction: Prediction) -> str:
    """Return the name of the answer, or a text that says that there is none."""
    return answer_name(trees, labels, prediction) or UNDECIDED


def answer_name(trees: Sequence[PlaceTree], labels: Sequence[str], prediction: Prediction) -> str | None:
    """Return the name of the finest place of the first tree that holds half of the probability.

    None if no place does. If half of the probability lies in no place of the tree, or there is no tree, it is the label
    of the best cell from `labels` (K,).
    """
    place = answer_place(trees[0], prediction) if trees else -1
    if place >= 0:
        return place_words(trees[0], place)
    unplaced = prediction.probabilities[trees[0].of_cell < 0].sum() if trees else 1.0
    return labels[prediction.cell] if unplaced >= HALF else None


def answer_place(tree: PlaceTree, prediction: Prediction) -> int:
    """Return the finest place on a tree's path that holds at least half of the probability; −1 if none does.

    Raises DataError for a tree of another partition.
    """
    path = place_path(tree, prediction)
    held = [place for place in path.places if path.shares[place] >= HALF - ROUNDING]
    return held[-1] if held else -1


def place_words(tree: PlaceTree, place: int) -> str:
    """Return the full name of a place up to its country or sea: "Wadi Rum, Ma'an, Jordan"; empty for −1."""
    names: list[str] = []
    for step in tree.path(place)[:LONGEST_NAME]:
        if not names or tree.labels[step] != names[-1]:
            names.append(tree.labels[step])
        if tree.kinds[step] in ENDS_A_NAME:
            break
    return ", ".join(names)


def path_record(tree: PlaceTree, prediction: Prediction) -> dict[str, Any]:
    """Return a tree's path as plain data: the most probable place per level, and the best cell's places as text."""
    path = place_path(tree, prediction)
    return {
        "tree": tree.name,
        "path": [
            {"label": tree.labels[place], "kind": tree.kinds[place], "share": float(path.shares[place])}
            for place in path.places
        ],
        "best_cell": tree.words(int(tree.of_cell[prediction.cell])),
    }
