"""What was published beside the CERTH model, read from its original pickles without running anything in them."""

from geoexplain.research.companions import (
    Assignments,
    read_assignments,
    read_centers,
    read_metadata,
    save_assignments,
    save_centers,
)
from geoexplain.research.conversion import convert
from geoexplain.research.pickles import read_pickle

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
