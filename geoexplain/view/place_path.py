"""The way down a tree of places along which the probability lies, as a person reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoexplain.geography.placetree import PlaceTree
from geoexplain.locator.prediction import Prediction

LONGEST_NAME = 4
"""Places in a name: "Wadi Rum, Ma'an, Jordan"."""

ENDS_A_NAME = ("country", "sea", "subregion", "continent", "ocean")
"""Kinds of places that need no larger one beside them."""

HALF = 0.5
"""What a place has to hold of the probability, at least, to be called the answer."""

ROUNDING = 1e-9

UNDECIDED = "No place holds half of the probability"


@dataclass(frozen=True, eq=False)
class PlacePath:
    """The most probable place of every level, coarse to fine, and what it is seen against.

    places     indices of the tree's places, each in the one before
    shares     float64 (M,): the probability in every place of the tree, with all that it holds
    best       the places that hold the most probable cell, coarse to fine; empty for a cell in none
    elsewhere  where the most probable cell's own way parts from `places`: its place there; None if it does not
    """

    places: tuple[int, ...]
    shares: NDArray[np.float64]
    best: tuple[int, ...]
    elsewhere: int | None


def place_path(tree: PlaceTree, prediction: Prediction, through: int = -1) -> PlacePath:
    """The path from the most probable root down, at each place to the most probable one in it.

    It ends where no place in it is as probable as what lies in none of them, unless the best cell is further down.

    through  a place to go through; from there down it is the most probable again

    Raises DataError for a tree of other cells.
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
    """The other places beside one, the most probable first, those without any probability left out."""
    beside = np.flatnonzero((tree.parents == tree.parents[place]) & (path.shares > 0))
    ranked = beside[np.argsort(-path.shares[beside], kind="stable")]
    return [int(other) for other in ranked if other != place]


def headline(trees: Sequence[PlaceTree], labels: Sequence[str], prediction: Prediction) -> str:
    """The name of an answer for people, or that it has none."""
    return answer_name(trees, labels, prediction) or UNDECIDED


def answer_name(trees: Sequence[PlaceTree], labels: Sequence[str], prediction: Prediction) -> str | None:
    """Where an image was taken, in words: the finest place of the first tree that holds half of the probability.

    None where no place does. Where half of the probability lies in no place of the tree, or there is no tree, it is
    what `labels` (K,) call the best cell.
    """
    place = answer_place(trees[0], prediction) if trees else -1
    if place >= 0:
        return place_words(trees[0], place)
    unplaced = prediction.probabilities[trees[0].of_cell < 0].sum() if trees else 1.0
    return labels[prediction.cell] if unplaced >= HALF else None


def answer_place(tree: PlaceTree, prediction: Prediction) -> int:
    """The finest place on a tree's path that holds at least half of the probability; −1 where none does.

    Raises DataError for a tree of other cells.
    """
    path = place_path(tree, prediction)
    held = [place for place in path.places if path.shares[place] >= HALF - ROUNDING]
    return held[-1] if held else -1


def place_words(tree: PlaceTree, place: int) -> str:
    """A place as people write it, no further than its country or sea: "Wadi Rum, Ma'an, Jordan"; empty for −1."""
    names: list[str] = []
    for step in tree.path(place)[:LONGEST_NAME]:
        if not names or tree.labels[step] != names[-1]:
            names.append(tree.labels[step])
        if tree.kinds[step] in ENDS_A_NAME:
            break
    return ", ".join(names)


def path_record(tree: PlaceTree, prediction: Prediction) -> dict[str, Any]:
    """A tree's path as plain data: the most probable place of every level, and where the best cell is, in words."""
    path = place_path(tree, prediction)
    return {
        "tree": tree.name,
        "path": [
            {"label": tree.labels[place], "kind": tree.kinds[place], "share": float(path.shares[place])}
            for place in path.places
        ],
        "best_cell": tree.words(int(tree.of_cell[prediction.cell])),
    }
