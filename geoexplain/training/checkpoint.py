"""The checkpoint of a run: its path and contents, and whether a run may resume from it."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from geoexplain.errors import CheckpointError, DataError
from geoexplain.training.settings import Training, from_plain

FORMAT = "geoexplain-run/2"

FACTS = ("unit", "settings", "source", "images", "cells", "backbone")
STATE = ("network", "optimizer", "average", "best", "best_score", "best_size_px", "step", "validated")
"""Keys of a checkpoint besides its format: the facts that identify the run, and its state."""

FREE_TO_CHANGE: Sequence[str] = ("phases",)
"""Settings that may change when a run is resumed: it may become longer or shorter."""


def checkpoint_file(run_dir: Path) -> Path:
    """Return the path of a run's checkpoint."""
    return run_dir / "checkpoint.pt"


def check_folder(run_dir: Path, *, resume: bool) -> None:
    """Raise DataError if the folder holds a checkpoint and `resume` is False, so that no run is overwritten."""
    if checkpoint_file(run_dir).exists() and not resume:
        raise DataError(
            f"{run_dir}: expected a folder without a run, found one: add --resume, or choose another --out."
        )


def load_checkpoint(file: Path) -> dict[str, Any]:
    """Read the checkpoint of a run.

    Raises CheckpointError if it is missing, damaged, not a checkpoint, or of a version with another format.
    """
    try:
        saved = dict(torch.load(file, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise CheckpointError(
            f"expected a training checkpoint at {file}, found none: check the folder, or start without --resume."
        ) from None
    except Exception as error:  # noqa: BLE001 - a damaged file raises a dozen kinds of exception
        raise CheckpointError(
            f"{file}: expected a training checkpoint, could not read it ({type(error).__name__}): choose another --out."
        ) from None
    if str(saved.get("format", "")).startswith("geoexplain-photo-run/") or saved.keys() >= {"centers_deg", "seen"}:
        raise CheckpointError(
            f"{file}: expected a run of this version ({FORMAT}), got one that was begun before photos and views had "
            "one trainer, and that cannot go on here: begin again with another --out, or go on with the version that "
            "it was begun with."
        )
    if saved.get("format") != FORMAT or not saved.keys() >= {*FACTS, *STATE}:
        raise CheckpointError(
            f"{file}: expected the checkpoint of a run ({FORMAT}), got {str(saved.get('format'))[:80]!r}: choose the "
            "folder of a run."
        )
    return saved


def check_resumable(saved: Mapping[str, Any], facts: Mapping[str, Any], settings: Training) -> None:
    """Raise CheckpointError unless the run of a checkpoint began with these images, cells, network and settings."""
    unit = saved["unit"]
    if unit != facts["unit"]:
        raise CheckpointError(f"--resume: expected a run on {facts['unit']}, got one on {unit}: choose its folder.")
    check_settings(saved, settings)
    # Check cells before images: other cells may leave out other photos, which changes the images, too.
    for key, what in (("cells", "partitioning"), ("images", unit), ("backbone", "network")):
        if saved[key] != facts[key]:
            raise CheckpointError(
                f"--resume: expected the {what} that the run was begun with, got another: give the same options as "
                "then, or choose another --out."
            )
    _check_same(json.loads(saved["source"]), json.loads(facts["source"]))


def check_settings(saved: Mapping[str, Any], settings: Training) -> None:
    """Raise CheckpointError unless the run of a checkpoint began with these settings, except those free to change."""
    before = asdict(replace(from_plain(json.loads(saved["settings"])), phases=settings.phases))
    _check_same(before, asdict(settings))


def _check_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for key, value in now.items():
        if key not in FREE_TO_CHANGE and before.get(key) != value:
            raise CheckpointError(
                f"--resume: expected {key} {before.get(key)!r}, as the run was begun with, got {value!r}: give the "
                "same options as then, or choose another --out."
            )


def save_atomically(state: Mapping[str, Any], file: Path) -> None:
    """Write a checkpoint so that a kill while writing keeps the previous one. Raises CheckpointError on failure."""
    partial = file.with_suffix(".partial")
    try:
        torch.save(dict(state), partial)
        partial.replace(file)
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError if the disk is full
        with suppress(OSError):
            partial.unlink()
        raise CheckpointError(
            f"{file}: expected to write a checkpoint, could not ({type(error).__name__}): make room on the disk, or "
            "choose a folder that may be written to, and go on with --resume."
        ) from error
