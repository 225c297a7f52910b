"""A place as the target of an explanation: all its cells together."""

from difflib import get_close_matches

from geoexplain.errors import DataError
from geoexplain.explainer.target import CellGroup
from geoexplain.geography.placetree import PlaceTree, find_place
from geoexplain.locator.model import GeoModel

MOST_PATHS = 4
"""Number of places that an error message lists at most."""


def place_group(tree: PlaceTree, place: int) -> CellGroup:
    """Return the cells of a place of a tree as a target. Raises DataError for a place that does not exist."""
    cells = tree.cells(place)
    return CellGroup(tree.words(place), tuple(cells.tolist()))


def named_group(model: GeoModel, name: str) -> CellGroup:
    """Return the cells of a model's place by its name, "Jordan" or "Lyon, France"; of nested places the coarsest.

    Raises DataError if none of the model's cells lies in such a place, or if the name is ambiguous.
    """
    for tree in model.trees:
        places = find_place(tree, name)
        coarsest = [place for place in places if len(tree.path(place)) == len(tree.path(places[0]))]
        if len(coarsest) > 1:
            paths = "; ".join(f"“{tree.words(place)}”" for place in coarsest[:MOST_PATHS])
            raise DataError(f"expected one place, got {len(coarsest)} called {name[:80]!r}: say which, {paths}.")
        if coarsest:
            return place_group(tree, coarsest[0])
    known = {label for tree in model.trees for label in tree.labels}
    similar = get_close_matches(name.split(",", maxsplit=1)[0].strip(), known, n=3)
    hint = f"; did you mean {' or '.join(similar)}?" if similar else ": choose a country, a region, or a city."
    raise DataError(f"expected a place that cells of {model.name} lie in, got {name[:80]!r}{hint}")
