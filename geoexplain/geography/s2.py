"""S2 cells: six faces of a cube around the Earth, each divided into quarters up to thirty times.

A cell is a uint64: three bits for its face, two for each division, then a one and zeros. The numbers of all descendants
of a cell therefore lie between those of its first and its last leaf (s2geometry.io/devguide/s2cell_hierarchy). Faces,
the quadratic projection and the Hilbert curve are those of the S2 Geometry Library.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.geography.sphere import degrees, unit_vectors

LEAF_LEVEL = 30
"""Level of the smallest cells, about a centimetre wide; faces have level 0."""

SIDE = 1 << LEAF_LEVEL
"""Number of leaf cells along the edge of a face."""

_FACES = np.arange(6, dtype=np.uint64)
_POINTS_AT_A_TIME = 2**17  # intermediate arrays of this size fit into a processor's cache

# The axis that each face is perpendicular to, and the axes, with signs, of its coordinates u and v.
_W_AXIS = np.array([0, 1, 2, 0, 1, 2])
_U_AXIS, _U_SIGN = np.array([1, 0, 0, 2, 2, 1]), np.array([1.0, -1, -1, 1, 1, -1])
_V_AXIS, _V_SIGN = np.array([2, 2, 1, 1, 0, 0]), np.array([1.0, 1, -1, 1, -1, -1])

# The order in which the Hilbert curve visits the four quarters (2 · upper half in i + upper half in j), by orientation:
# 1 swaps i and j, 2 inverts both. _TURN: the change of orientation inside each quarter.
_CURVE = np.array([[0, 1, 3, 2], [0, 2, 3, 1], [3, 2, 0, 1], [3, 1, 0, 2]])
_TURN = np.array([1, 0, 0, 3])


def _curve_tables() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return tables for four divisions at once: (orientation, i and j) → (position, orientation), and the inverse.

    Entries are 4 · value + orientation.
    """
    position = np.arange(256)
    to_position, to_ij = np.empty((4, 256), np.int64), np.empty((4, 256), np.int64)
    for start in range(4):
        orientation, i, j = np.full(256, start), np.zeros(256, np.int64), np.zeros(256, np.int64)
        for shift in (6, 4, 2, 0):
            quarter = position >> shift & 3
            half = _CURVE[orientation, quarter]
            i, j = i << 1 | half >> 1, j << 1 | half & 1
            orientation = orientation ^ _TURN[quarter]
        to_position[start, i << 4 | j] = position << 2 | orientation
        to_ij[start, position] = (i << 4 | j) << 2 | orientation
    return to_position, to_ij


_TO_POSITION, _TO_IJ = _curve_tables()


def faces() -> NDArray[np.uint64]:
    """Return the six cells of level 0: uint64 (6,)."""
    return (_FACES << np.uint64(61)) | np.uint64(1 << 60)


def leaf_ids(points_deg: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return the leaf cell, uint64 (N,), of each point (N, 2) in degrees; any longitude, latitudes within ±90."""
    ids = np.empty(len(points_deg), dtype=np.uint64)
    for start in range(0, len(ids), _POINTS_AT_A_TIME):
        part = slice(start, start + _POINTS_AT_A_TIME)
        ids[part] = leaf_ids_of_vectors(unit_vectors(points_deg[part]))
    return ids


def leaf_ids_of_vectors(vectors: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return the leaf cell, uint64 (N,), of each vector (N, 3) of any positive length."""
    row = np.arange(len(vectors))
    axis = 2 - np.abs(vectors[:, ::-1]).argmax(axis=1)  # among ties, S2 uses the last axis
    along = vectors[row, axis]
    face = axis + 3 * (along < 0)
    i = _cell_number(_U_SIGN[face] * vectors[row, _U_AXIS[face]] / along)
    j = _cell_number(_V_SIGN[face] * vectors[row, _V_AXIS[face]] / along)
    orientation, position = face & 1, np.zeros(len(vectors), np.int64)
    for shift in range(28, -1, -4):
        entry = _TO_POSITION[orientation, (i >> shift & 15) << 4 | j >> shift & 15]
        position, orientation = position << 8 | entry >> 2, entry & 3
    return face.astype(np.uint64) << np.uint64(61) | position.astype(np.uint64) << np.uint64(1) | np.uint64(1)


def levels(ids: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the level of each cell, the number of divisions of its face: int64, from 0 to LEAF_LEVEL."""
    _, exponent = np.frexp(_last_bits(ids).astype(np.float64))
    return (LEAF_LEVEL - (exponent.astype(np.int64) - 1) // 2).astype(np.int64)


def ancestors(ids: NDArray[np.uint64], level: int) -> NDArray[np.uint64]:
    """Return the ancestor of each cell at a level, which must not be finer than the cell's own."""
    last = np.uint64(1 << 2 * (LEAF_LEVEL - level))
    return (ids & ~(last - np.uint64(1)) & ~last) | last


def children(ids: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the quarters (N, 4) of cells (N,) other than leaves, in the order of the curve."""
    quarter = _last_bits(ids) >> np.uint64(2)
    return (ids - 4 * quarter + quarter)[:, None] + np.arange(0, 8, 2, dtype=np.uint64) * quarter[:, None]


def leaf_ranges(ids: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the first and the last leaf, both inclusive, of each cell."""
    rest = _last_bits(ids) - np.uint64(1)
    return ids - rest, ids + rest


def containing_cells(cells: NDArray[np.uint64], ids: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the index among K cells of the one that contains each of N cells: int64 (N,), −1 if none does.

    The K cells must be in ascending order and must not overlap.
    """
    if not len(cells):
        return np.full(len(ids), -1)
    first, last = leaf_ranges(cells)
    lowest, highest = leaf_ranges(ids)
    place = np.searchsorted(first, lowest, side="right") - 1
    return np.where((place >= 0) & (highest <= last[place]), place, -1)


def tokens(ids: NDArray[np.uint64]) -> list[str]:
    """Return the token of each cell: its number in hexadecimal without trailing zeros, "89c25"."""
    return [f"{number:016x}".rstrip("0") for number in ids.tolist()]


def from_tokens(texts: Iterable[str]) -> NDArray[np.uint64]:
    """Return the cells of tokens in upper or lower case. Raises DataError for a text that is not a token."""
    return np.array([_parse_token(text) for text in texts], dtype=np.uint64)


def centers_deg(ids: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return the centre (N, 2) of each cell in degrees: the middle in s and t, not the mean of its corners."""
    face, i, j, size = _squares(ids)
    return degrees(_vectors(face, (i + size / 2) / SIDE, (j + size / 2) / SIDE))


def corners(ids: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return the corners of each cell as unit vectors (N, 4, 3), counterclockwise as seen from above."""
    face, i, j, size = _squares(ids)
    around = [(i, j), (i + size, j), (i + size, j + size), (i, j + size)]
    vectors = np.stack([_vectors(face, s / SIDE, t / SIDE) for s, t in around], axis=1)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def check_disjoint(cells: NDArray[np.uint64], texts: Sequence[str]) -> None:
    """Raise DataError if any two cells overlap; they are in ascending order, `texts` are their tokens."""
    first, last = leaf_ranges(cells)
    shared = np.flatnonzero(first[1:] <= last[:-1])
    if len(shared):
        one = int(shared[0])
        raise DataError(
            f"partitioning: expected S2 cells that do not overlap, got {texts[one]!r} and {texts[one + 1]!r}: "
            "build it again."
        )


def _last_bits(ids: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return ids & (~ids + np.uint64(1))


def _parse_token(text: str) -> int:
    number = int(text.ljust(16, "0"), 16) if re.fullmatch("[0-9a-fA-F]{1,16}", text) else 0
    # A valid cell has a face from 0 to 5, and its last set bit at an even position.
    if not (number & -number) & 0x1555555555555555 or number >> 61 > 5:
        raise DataError(f"expected S2 tokens such as '89c25', got {text[:40]!r}: is this another kind of table?")
    return number


def _cell_number(u: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the index of the leaf at u in [-1, 1], counted from the face's edge, by the quadratic projection u → s."""
    root = 0.5 * np.sqrt(1 + 3 * np.abs(u))
    s = np.where(u >= 0, root, 1 - root)
    return np.clip(np.floor(SIDE * s).astype(np.int64), 0, SIDE - 1)


def _squares(ids: NDArray[np.uint64]) -> tuple[NDArray[np.int64], ...]:
    """Return the face, the first leaf along i and along j, and the number of leaves along an edge, of each cell."""
    face = (ids >> np.uint64(61)).astype(np.int64)
    position = (ids >> np.uint64(1) & np.uint64((1 << 60) - 1)).astype(np.int64)
    orientation, i, j = face & 1, np.zeros(len(ids), np.int64), np.zeros(len(ids), np.int64)
    for shift in range(56, -1, -8):
        entry = _TO_IJ[orientation, position >> shift & 255]
        i, j = i << 4 | entry >> 6, j << 4 | entry >> 2 & 15
        orientation = entry & 3
    size = np.int64(1) << (LEAF_LEVEL - levels(ids))
    return face, i & -size, j & -size, size


def _vectors(face: NDArray[np.int64], s: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return vectors (N, 3) to the cube's surface at s and t in [0, 1] of faces."""
    row = np.arange(len(face))
    side = np.where(face < 3, 1.0, -1.0)
    vectors = np.empty((len(face), 3))
    vectors[row, _W_AXIS[face]] = side
    vectors[row, _U_AXIS[face]] = side * _U_SIGN[face] * _projected(s)
    vectors[row, _V_AXIS[face]] = side * _V_SIGN[face] * _projected(t)
    return vectors


def _projected(s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the quadratic projection s → u."""
    return np.where(s >= 0.5, (4 * s**2 - 1) / 3, (1 - 4 * (1 - s) ** 2) / 3)
