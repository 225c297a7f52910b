"""Read untrusted files, original research pickles included, without executing anything in them."""

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
