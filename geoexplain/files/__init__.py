"""Read files of unknown origin, original research pickles among them, without running anything in them."""

from geoexplain.files.companions import (
    Assignments,
    read_assignments,
    read_centers,
    read_metadata,
    save_assignments,
    save_centers,
)
from geoexplain.files.conversion import convert
from geoexplain.files.pickles import read_pickle

__all__ = [
    "Assignments",
    "convert",
    "read_assignments",
    "read_centers",
    "read_metadata",
    "read_pickle",
    "save_assignments",
    "save_centers",
]
