"""The best network of a run → a model to ship: calibrated, with its cells, its gate and a card of its figures."""

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
    """A calibrated model before it is written.

    facts     how it was calibrated, for the card
    measured  figures that were measured on the way
    """

    model: GeoModel
    facts: Mapping[str, Any]
    measured: Mapping[str, Any] = field(default_factory=dict)


class Examples(Protocol):
    """Images that were not trained on, which a release is calibrated and measured with: PhotoExamples, ViewExamples."""

    @property
    def partitioning(self) -> Partitioning:
        """The cells of the run."""
        ...

    def draft(self, trained: Trained, size_px: int, *, progress: Working | None) -> Draft:
        """A model of what a run has come to, calibrated for images of a size."""
        ...

    def gate(self, model: GeoModel, others: OtherPictures, *, progress: Working | None) -> Gate:
        """A gate for a model. Raises DataError when there are too few images to fit one."""
        ...

    def measure(self, model: GeoModel, *, progress: Working | None) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Figures of the model that is shipped, and what its card says of them."""
        ...


@dataclass(frozen=True, eq=False)
class Release:
    """What was written, and how good it is.

    model     read back from its files
    weights   its file, and `card` that of its card
    facts     what the card says of its making
    measured  by what it was measured on: of photos, way of answering → distances (N,) in km from the truth; of views, a
              ViewReport
    ungated   why it has no gate; empty where it has one
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
    """Calibrate the best network of a run, or of the one in a folder, write it, fit its gate, and measure it.

    examples  images that were not trained on
    folder    where `<name>.safetensors` (fp16), its tables, gate and card are written
    others    what the gate is fitted against; None: generated pictures alone
    size_px   side of the images that the model will look at; None: that of the last phase. A network that was trained
              shortly at its last size may be better at the one before
    device    None: the GPU when there is one
    progress  is told what is being done

    A model that there are too few images to fit a gate for is released without one. Raises CheckpointError when the run
    cannot be read or is of other cells, DataError when an example of a kind that is needed cannot be read.
    """
    folder, device = Path(folder), torch.device(device or default_device())
    trained = read_run(run if isinstance(run, Run) else Path(run), examples.partitioning)
    trained.network.to(device)
    others = others or OtherPictures((), load_markings())
    draft = examples.draft(trained, size_px or trained.settings.phases[-1].size_px, progress=progress)
    weights = write_model(draft.model, examples.partitioning, folder)
    # What is fitted to and measured is what is shipped: fp16 weights, and cells rounded as in their tables.
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
    """A trained network as a GeoModel with the partitioning's cells and, where they are known, their borders.

    `product` says whether a head over several levels answers with f* or f; None leaves it as it is. `fields` are those
    of GeoModel that say what it is: its name, title, purpose, rule, …
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
    """A gate for a model, fitted on images of its kind, batches (n, 3, H, W) by where they come from, and on others.

    `held_out` sets and measures its threshold; see `fit_gate`. Raises DataError when there are too few of any.
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
    """Write a model as `<name>.safetensors` (fp16) with its tables, borders and places; return the first of them."""
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
    """A name that a model's files may have, which it returns. Raises DataError for another."""
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789._-")
    if not name or len(name) > 64 or not set(name) <= allowed or not name[0].isalnum():
        raise DataError(
            f"--name: expected small letters, digits, '.', '_' and '-', at most 64 of them, got {name[:80]!r}: "
            "choose another."
        )
    return name


def write_card(model: GeoModel, weights: Path, facts: Mapping[str, Any]) -> Path:
    """Write the model card `<name>.card.json` beside the weights: what the model is, and `facts` of its making."""
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
