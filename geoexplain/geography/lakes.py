"""Load the lakes and reservoirs of Natural Earth 1:50m from a file of the package."""

import threading
import zipfile
from functools import lru_cache

import numpy as np
import shapely

from geoexplain.errors import DataError
from geoexplain.geography.gazetteer import WORLD

FILE = "lakes.npz"

_loading = threading.Lock()


def load_lakes() -> shapely.STRtree:
    """Return a tree over their prepared multipolygons, x = longitude; read once per process, shared by all threads.

    Raises DataError when the file of `assets/world` is missing or damaged.
    """
    with _loading:
        return _load()


@lru_cache(maxsize=1)
def _load() -> shapely.STRtree:
    try:
        with np.load(WORLD / FILE, allow_pickle=False) as table:
            points = np.cumsum(table["steps"], axis=0) / 1000  # (longitude, latitude), as shapely has them
            offsets = (table["rings"], table["parts"], table["shapes"])
        shapes = shapely.from_ragged_array(shapely.GeometryType.MULTIPOLYGON, points, offsets)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, shapely.errors.GEOSException) as error:
        raise DataError(
            f"lakes: expected {FILE} in assets/world, but it cannot be read; restore that folder from the repository."
        ) from error
    shapely.prepare(shapes)
    return shapely.STRtree(shapes)
