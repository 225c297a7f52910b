"""The files that belong to the repository."""

import subprocess
from pathlib import Path

from tests.test_architecture import ROOT

NO_PART = {"build", "dist", "runs", "test-results", "__pycache__", "geoexplain.egg-info", "PKG-INFO", "setup.cfg"}
"""What a build or a run leaves, at the top or anywhere."""


def repository_files() -> list[str]:
    """Return the paths, with slashes, of tracked and new files; without a history, as in an sdist, of all files."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
        return sorted(name for name in listed.split("\0") if name and (ROOT / name).is_file())
    found: list[Path] = []
    for top in ROOT.iterdir():
        if top.name in {".ci", ".gitignore"} or not (top.name.startswith(".") or top.name in NO_PART):
            found += [top] if top.is_file() else [path for path in top.rglob("*") if path.is_file()]
    paths = [path.relative_to(ROOT) for path in found if not NO_PART & set(path.parts)]
    return sorted(path.as_posix() for path in paths)
