"""Split photos into training, validation and test sets that share no author and no copies of a photo."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geoexplain.errors import DataError

SHARES: Mapping[str, float] = {"train": 0.9, "validation": 0.05, "test": 0.05}
GIANT = 0.05


@dataclass(frozen=True)
class Giant:
    """A set of photos, connected by authors and copies, that is too large to split well: number of photos and name."""

    photos: int
    name: str


def split_photos(
    authors: Sequence[str], groups: Sequence[str], shares: Mapping[str, float] = SHARES, seed: int = 0
) -> dict[str, NDArray[np.int64]]:
    """Assign N photos to parts, all photos of an author and all copies of a photo to the same part.

    Photos with the same author (unless it is "", unknown) or the same group of copies (see `duplicate_groups`) form a
    connected set. A hash of the seed and of the set's name, the first of its sorted authors or, without authors, of its
    groups, decides the part. So adding, removing or reordering photos moves no other photo, unless the name of its set
    changes. The shares hold on average over many sets, not exactly.

    Args:
        authors: (N,) author of each photo, "" unknown.
        groups: (N,) group of copies of each photo, never ""; the photo's key if copies are not searched for.
        shares: part → share of the sets, > 0, adding up to 1.
        seed: another seed gives another assignment.

    Returns:
        part → its rows, ascending.

    Raises:
        DataError: the lengths differ, a group is "", or the shares are invalid.
    """
    if not shares or min(shares.values()) <= 0 or not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
        raise DataError(f"expected shares above 0 that add up to 1, got {dict(shares)}: correct them.")
    component, names = _components(authors, groups)
    bounds = np.cumsum(list(shares.values()))[:-1]
    part_of = np.searchsorted(bounds, [_uniform(seed, name) for name in names], side="right")
    of_row = part_of[component] if len(component) else np.zeros(0, dtype=np.int64)
    return {part: np.flatnonzero(of_row == number) for number, part in enumerate(shares)}


def giant_sets(authors: Sequence[str], groups: Sequence[str], share: float = GIANT) -> tuple[Giant, ...]:
    """Return the connected sets with more than `share` of all photos, largest first; they prevent exact shares.

    Their name is an author or a group, as in `split_photos`.
    """
    component, names = _components(authors, groups)
    sizes = np.bincount(component, minlength=len(names))
    large = [number for number in np.argsort(-sizes, kind="stable").tolist() if sizes[number] > share * len(component)]
    return tuple(Giant(int(sizes[number]), names[number].partition("\0")[2]) for number in large)


def _components(authors: Sequence[str], groups: Sequence[str]) -> tuple[NDArray[np.int64], list[str]]:
    """Return the number of each photo's connected set (N,), and the name of each set: kind, NUL, author or group."""
    if len(authors) != len(groups):
        raise DataError(
            f"expected an author and a group for each photo, got {len(authors):,} authors and {len(groups):,} groups: "
            "pass lists of equal length."
        )
    if "" in groups:
        raise DataError("expected a group for each photo, got '': name a photo without copies by its key.")
    nodes: dict[str, int] = {}
    # The prefix separates an author from a group of the same name; "a" sorts authors before groups.
    group_nodes = np.array([nodes.setdefault(f"g\0{group}", len(nodes)) for group in groups], dtype=np.int64)
    tied = [(nodes.setdefault(f"a\0{author}", len(nodes)), row) for row, author in enumerate(authors) if author]
    ties = np.array(tied, dtype=np.int64).reshape(-1, 2)
    graph = coo_array(
        (np.ones(len(ties), dtype=np.int8), (ties[:, 0], group_nodes[ties[:, 1]])), shape=(len(nodes), len(nodes))
    )
    count, component = connected_components(graph, directed=False) if nodes else (0, np.zeros(0, dtype=np.int64))
    names = [""] * count
    for name, number in zip(nodes, component.tolist(), strict=True):
        if not names[number] or name < names[number]:
            names[number] = name
    return component[group_nodes].astype(np.int64), names


def _uniform(seed: int, name: str) -> float:
    digest = hashlib.blake2b(f"{seed}\0{name}".encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
