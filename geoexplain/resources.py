"""Find the files that are shipped with geoexplain, in a checkout, an editable install and an installed wheel alike."""

from pathlib import Path


def shipped_folder(name: str) -> Path:
    """Return the folder of shipped files of that name, "assets" or "data".

    A wheel carries these folders inside the package; in a checkout, which an editable install points at, they lie
    beside it. Where neither is there, the folder inside the package is returned, and reading from it says what is
    missing.
    """
    package = Path(__file__).parent
    beside = package.parent / name
    inside = package / name
    return beside if beside.is_dir() and not inside.is_dir() else inside


ASSETS = shipped_folder("assets")
"""What the browser gets, the base map and the example images."""

DATA = shipped_folder("data")
"""The bundled model and published figures."""
