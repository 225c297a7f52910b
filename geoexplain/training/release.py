"""Release the best network of a run as a calibrated model with its cells, its gate and a model card."""

import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.geography.partition import Partition
from geoexplain.geography.partitioning import Partitioning
from geoexplain.imagery.markings import load_markings
from geoexplain.locator.backbone import preprocess_for
from geoexplain.locator.checkpoints.native import describe, save_geoexplain
from geoexplain.locator.gate import Gate, write_gate
from geoexplain.locator.heads import MultiPartitionHead
from geoexplain.locator.model import GeoModel, Network
from geoexplain.locator.zoo import load_model
from geoexplain.training.distributed import default_device
from geoexplain.training.gate import fit_gate, gate_stages, image_statistics
from geoexplain.training.other_pictures import OtherPictures
from geoexplain.training.run import Run, Trained, read_run
from geoexplain.training.source import Working, step_of


@dataclass(frozen=True, eq=False)
class Draft:
    """A calibrated model that is not yet written to disk.

    facts     how it was calibrated, for the card
    measured  figures that were measured during calibration
    """

    model: GeoModel
    facts: Mapping[str, Any]
    measured: Mapping[str, Any] = field(default_factory=dict)


class Examples(Protocol):
    """Images outside the training set, to calibrate and measure a release: PhotoExamples or ViewExamples."""

    @property
    def partitioning(self) -> Partitioning:
        """The cells of the run."""
        ...

    def draft(self, trained: Trained, size_px: int, *, progress: Working | None) -> Draft:
        """Return a model of a trained network, calibrated for images of `size_px`."""
        ...

    def gate(self, model: GeoModel, others: OtherPictures, *, progress: Working | None) -> Gate:
        """Fit a gate for a model. Raises DataError for too few images."""
        ...

    def measure(self, model: GeoModel, *, progress: Working | None) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Measure the released model; return the figures, and the entries for its card."""
        ...


@dataclass(frozen=True, eq=False)
class Release:
    """A released model: its files and its measured accuracy.

    model     the model, read back from its files
    weights   the file of its weights
    card      the file of its card
    facts     the card's entries about training, calibration and accuracy
    measured  name of a set of images → figures: for photos, way of answering → distances (N,) in km from the truth; for
              views, a ViewReport
    ungated   the reason why it has no gate; empty if it has one
    """

    model: GeoModel
    weights: Path
    card: Path
    facts: Mapping[str, Any]
    measured: Mapping[str, Any]
    ungated: str


def release(
    run: Run | Path | str,
    examples: Examples,
    folder: Path | str,
    *,
    others: OtherPictures | None = None,
    size_px: int | None = None,
    device: torch.device | str | None = None,
    progress: Working | None = None,
) -> Release:
    """Calibrate the best network of a run, write it, fit its gate, and measure it.

    run       a run, or its folder
    examples  images that were not trained on
    folder    where `<name>.safetensors` (fp16), its tables, gate and card are written
    others    pictures of other kinds to fit the gate against; None: generated pictures only
    size_px   side of the model's input images; None: that of the last phase. A network that was trained only briefly at
              its last size may be better at the size before
    device    None: the GPU if there is one
    progress  called with the current task, its steps done and all its steps

    With too few images to fit a gate, the model is released without one. Raises CheckpointError if the run cannot be
    read or has other cells, and DataError if no example of a required kind can be read.
    """
    folder, device = Path(folder), torch.device(device or default_device())
    trained = read_run(run if isinstance(run, Run) else Path(run), examples.partitioning)
    trained.network.to(device)
    others = others or OtherPictures((), load_markings())
    draft = examples.draft(trained, size_px or trained.settings.phases[-1].size_px, progress=progress)
    weights = write_model(draft.model, examples.partitioning, folder)
    # Fit the gate to, and measure, the model as written: fp16 weights, and cells rounded as in their tables.
    model, ungated = load_model(weights, device), ""
    try:
        write_gate(examples.gate(model, others, progress=progress), weights)
        model = load_model(weights, device)
    except DataError as error:
        ungated = str(error)
    measured, figures = examples.measure(model, progress=progress)
    facts: dict[str, Any] = {
        "training": {
            **trained.settings.as_dict(trained.unit),
            **trained.facts,
            f"{trained.unit}_seen": trained.seen,
            "processes": trained.processes,
        },
        **draft.facts,
        **figures,
        "gate": None if model.gate is None else dict(model.gate.figures),
    }
    card = write_card(model, weights, facts)
    return Release(model, weights, card, facts, {**draft.measured, **measured}, ungated)


def build_model(
    network: Network,
    partitioning: Partitioning,
    *,
    size_px: int,
    product: bool | None = None,
    **fields: Any,
) -> GeoModel:
    """Return a trained network as a GeoModel with the partitioning's cells and, where known, their borders.

    `product` chooses between f* (True) and f (False) for a head over several levels; None leaves the head as it is.
    `fields` are further arguments of GeoModel: name, title, purpose, rule, …
    """
    head = network.head
    coarser: tuple[Partition, ...] = ()
    if isinstance(head, MultiPartitionHead) and len(head.classifier) > 1:
        coarser = partitioning.levels[1:]
        head.product = head.product if product is None else product
    finest = partitioning.levels[0]
    borders = partitioning.borders[0]
    if finest.borders is None and any(border is not None for border in borders):
        finest = replace(finest, borders=borders)
    if not coarser and finest.parents is not None:
        finest = replace(finest, parents=None)
    preprocess = preprocess_for(network.backbone.architecture, size_px)
    return GeoModel(network.backbone, head, finest, preprocess, coarser=coarser, **fields)


def gate_of(
    model: GeoModel,
    own: Mapping[str, Iterable[Tensor]],
    held_out: Mapping[str, Iterable[Tensor]],
    others: OtherPictures,
    *,
    kind: str,
    fitted_on: str,
    progress: Working | None = None,
) -> Gate:
    """Fit a gate for a model on images of its kind, name of a set → batches (n, 3, H, W), and on other pictures.

    `held_out` sets the gate's threshold and measures it; see `fit_gate`. Raises DataError if a set has too few images.
    """
    backbone, preprocess = model.backbone, model.preprocess
    stages = gate_stages(backbone)
    fitting = others.fitting(preprocess, step_of(progress, "looking at other pictures"))
    measuring = others.measuring(preprocess, step_of(progress, "looking at more other pictures"))
    return fit_gate(
        {name: image_statistics(backbone, batches, stages) for name, batches in own.items()},
        image_statistics(backbone, fitting, stages),
        held_out={name: image_statistics(backbone, batches, stages) for name, batches in held_out.items()},
        others_held_out=image_statistics(backbone, measuring, stages),
        stages=stages,
        kind=kind,
        fitted_on=f"{fitted_on} against {others.words()}",
    )


def write_model(model: GeoModel, partitioning: Partitioning, folder: Path) -> Path:
    """Write a model as `<name>.safetensors` (fp16) with its tables, borders and places; return the weights' path."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{model.name}.safetensors"
    trees = model.trees if partitioning.tree is None else (partitioning.tree,)
    save_geoexplain(
        model.network,
        describe(model),
        model.partition,
        file,
        coarser=model.coarser,
        embedder=model.embedder,
        trees=trees,
    )
    return file


def check_name(name: str) -> str:
    """Return `name` if a model's files may have it. Raises DataError otherwise."""
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789._-")
    if not name or len(name) > 64 or not set(name) <= allowed or not name[0].isalnum():
        raise DataError(
            f"--name: expected small letters, digits, '.', '_' and '-', at most 64 of them, got {name[:80]!r}: "
            "choose another."
        )
    return name


def write_card(model: GeoModel, weights: Path, facts: Mapping[str, Any]) -> Path:
    """Write the model card `<name>.card.json` next to the weights: a description of the model, and `facts`."""
    card = {
        **describe(model),
        "cells": len(model.partition),
        "parameters": sum(parameter.numel() for parameter in model.network.parameters()),
        "bytes": weights.stat().st_size,
        **facts,
        "libraries": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("torch", "timm", "numpy", "safetensors")},
        },
    }
    file = weights.with_suffix(".card.json")
    file.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return file
