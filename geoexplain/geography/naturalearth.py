"""Read layers of Natural Earth from a folder of downloads from naturalearthdata.com.

For the layer "lakes" the reader looks for ne_50m_lakes, then ne_10m_lakes and ne_110m_lakes, first in the folder and
then in its subfolders: GeoJSON (.geojson or .json), a shapefile (.shp with its .dbf), or a .zip that contains one.
Nothing is unpacked to disk.
"""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from geoexplain.errors import DataError
from geoexplain.files.reading import read_bytes
from geoexplain.geography.features import Feature
from geoexplain.geography.geojson import read_geojson
from geoexplain.geography.shapefile import read_shapefile
from geoexplain.words import printable

SCALES = ("50m", "10m", "110m")

MAX_BYTES = 64 * 2**20
"""Largest size of a file, packed or not. The largest layers at 1:10m have 20 MB."""

GEOJSON = (".geojson", ".json")
PACKED = (".7z", ".rar", ".tar", ".tgz", ".tar.gz", ".gz")
"""Archives that are not supported, but are named in an error message."""

MAX_FOLDERS = 1000


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of Natural Earth.

    name      name of its files, such as "ne_50m_lakes"
    features  features in the order of the file
    sha256    hexadecimal SHA-256 of the bytes that were read
    """

    name: str
    features: tuple[Feature, ...] = field(repr=False)
    sha256: str


def read_layer(folder: Path, layer: str) -> Layer | None:
    """Read a layer by its name without scale, such as "geography_regions_polys"; None if the folder does not have it.

    Raises DataError if `folder` is not a folder, if the file is damaged, too large or has neither points nor polygons,
    and if the layer exists only in an archive other than a .zip.
    """
    folders = _folders(folder)
    for name in (f"ne_{scale}_{layer}" for scale in SCALES):
        for place in folders:
            found = _read(place, name)
            if found is not None:
                return found
    for name in (f"ne_{scale}_{layer}" for scale in SCALES):
        for file in (place / f"{name}{ending}" for place in folders for ending in PACKED):
            if file.exists():
                raise DataError(f"{file.name}: expected a .zip, .shp or GeoJSON file, got an archive: unpack it there.")
    return None


def _folders(folder: Path) -> Sequence[Path]:
    """Return the folder and its subfolders, sorted by name."""
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError as error:
        name = printable(str(folder))
        raise DataError(
            f"{name}: expected a folder of Natural Earth's files, got '{error.strerror}': check the path."
        ) from None
    return [folder, *inside[:MAX_FOLDERS]]


def _read(folder: Path, name: str) -> Layer | None:
    for ending in GEOJSON:
        if (file := folder / f"{name}{ending}").exists():
            data = read_bytes(file, MAX_BYTES)
            return Layer(name, read_geojson(data, file.name), _digest(data))
    if (file := folder / f"{name}.shp").exists():
        return _layer(name, read_bytes(file, MAX_BYTES), read_bytes(file.with_suffix(".dbf"), MAX_BYTES))
    if (file := folder / f"{name}.zip").exists():
        return _layer(name, *_unpacked(read_bytes(file, MAX_BYTES), name))
    return None


def _layer(name: str, shp: bytes, dbf: bytes) -> Layer:
    return Layer(name, read_shapefile(shp, dbf, name), _digest(shp, dbf))


def _unpacked(data: bytes, name: str) -> list[bytes]:
    """Return the contents of the .shp and .dbf in a zip, in any folder of it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {info.filename.rpartition("/")[2]: info for info in archive.infolist()}
            return [_member(archive, members[f"{name}{ending}"], name) for ending in (".shp", ".dbf")]
    # A damaged zip raises seven kinds of exception; for the user they mean the same.
    except (KeyError, ValueError, EOFError, NotImplementedError, RuntimeError, OSError, zipfile.BadZipFile, zlib.error):
        raise DataError(
            f"{name}.zip: expected a zip with {name}.shp and {name}.dbf, got something else or a damaged file: "
            "download it again from Natural Earth."
        ) from None


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> bytes:
    with archive.open(info) as opened:
        content = opened.read(MAX_BYTES + 1)  # never more, whatever size the archive claims
    if len(content) > MAX_BYTES:
        raise DataError(f"{name}.zip: expected at most {MAX_BYTES:,} bytes unpacked, got more: is this the right file?")
    return content


def _digest(*contents: bytes) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()
