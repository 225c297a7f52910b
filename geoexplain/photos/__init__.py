"""Photos of known position: find their files and positions, and split them for training."""

from geoexplain.photos.collection import PhotoCollection, open_collection
from geoexplain.photos.exif import exif_position, geotagged_photos
from geoexplain.photos.fingerprint import duplicate_groups, fingerprints
from geoexplain.photos.manifest import read_manifest
from geoexplain.photos.photo import LeftOut, Manifest, Photo
from geoexplain.photos.shards import write_shards
from geoexplain.photos.splits import giant_sets, split_photos

__all__ = [
    "LeftOut",
    "Manifest",
    "Photo",
    "PhotoCollection",
    "duplicate_groups",
    "exif_position",
    "fingerprints",
    "geotagged_photos",
    "giant_sets",
    "open_collection",
    "read_manifest",
    "split_photos",
    "write_shards",
]
