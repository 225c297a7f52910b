"""Photos of known position: which files they are, and where they were taken."""

from geoexplain.photos.exif import exif_position, geotagged_photos
from geoexplain.photos.manifest import read_manifest
from geoexplain.photos.photo import Manifest, Photo

__all__ = ["Manifest", "Photo", "exif_position", "geotagged_photos", "read_manifest"]
