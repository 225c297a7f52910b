"""The checkpoint of a run on photos: where it is, what it is, and whether a run may go on from it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from geoexplain.errors import CheckpointError
from geoexplain.training.photo_settings import PhotoTraining, from_plain

FORMAT = "geoexplain-photo-run/1"

FACTS = ("settings", "photos", "cells", "backbone")
STATE = ("network", "optimiser", "average", "best", "best_score", "best_size_px", "step", "validated")
"""What a checkpoint holds beside its format: what the run is, and where it is."""


def checkpoint_file(run_dir: Path) -> Path:
    """Where a run keeps its checkpoint."""
    return run_dir / "checkpoint.pt"


def load_photo_checkpoint(file: Path) -> dict[str, Any]:
    """Read the checkpoint of a run on photos. Raises CheckpointError when it is missing, damaged or another kind's."""
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
    if saved.get("format") != FORMAT or not saved.keys() >= {*FACTS, *STATE}:
        raise CheckpointError(f"{file}: expected the checkpoint of a run on photos, got another: choose its folder.")
    return saved


FREE_TO_CHANGE: Sequence[str] = ("phases",)
"""Settings that a run may go on with others of: it may become longer or shorter."""


def check_resumable(saved: Mapping[str, Any], facts: Mapping[str, Any], settings: PhotoTraining) -> None:
    """Raise CheckpointError unless a checkpoint was begun with these photos, cells, network and settings."""
    # Cells first: of others, other photos may lie in none and are not trained on.
    for key, what in (("cells", "partitioning"), ("photos", "photos"), ("backbone", "network")):
        if saved[key] != facts[key]:
            raise CheckpointError(
                f"--resume: expected the {what} that the run was begun with, got another: give the same options as "
                "then, or choose another --out."
            )
    before = asdict(replace(from_plain(json.loads(saved["settings"])), phases=settings.phases))
    for key, now in asdict(settings).items():
        if key not in FREE_TO_CHANGE and before[key] != now:
            raise CheckpointError(
                f"--resume: expected {key} {before[key]!r}, as the run was begun with, got {now!r}: give the same "
                "options as then, or choose another --out."
            )
