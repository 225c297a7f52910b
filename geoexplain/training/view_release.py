"""The best network of a run on views → a model to ship: calibrated, with its gate and a card of its figures."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from geoexplain.errors import DataError
from geoexplain.evaluation.views import ViewReport, evaluate_views, view_inputs, view_logits
from geoexplain.geography.sphere import great_circle_km
from geoexplain.imagery.conditions import ViewSet
from geoexplain.locator.backbone import preprocess_for
from geoexplain.locator.gate import Gate, write_gate
from geoexplain.locator.model import GeoModel
from geoexplain.locator.zoo import load_model
from geoexplain.training.gate import fit_gate, gate_stages, image_statistics
from geoexplain.training.other_pictures import OtherPictures
from geoexplain.training.release import fit_sigma, fit_temperature, view_model, write_card, write_release
from geoexplain.training.run import checkpoint_file, load_checkpoint, saved_network, saved_settings

KIND = "a view of Earth from above"

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and all of it."""


@dataclass(frozen=True, eq=False)
class ReleaseViews:
    """The views that a release needs, by what to call them; none of them were trained on.

    calibration  temperature is fitted on them, and the scatter around the point on the first of them, the plain ones
    gate         the gate is fitted on them
    gate_test    its threshold is set on half of them, the other half measures it
    figures      accuracy is measured on them
    sampling     how these were drawn, for the card: their names → names of options → plain data
    """

    calibration: Mapping[str, ViewSet]
    gate: Mapping[str, ViewSet]
    gate_test: Mapping[str, ViewSet]
    figures: Mapping[str, ViewSet]
    sampling: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Release:
    """What was written, and how good it is.

    model        read back from its files
    weights      its file, and `card` that of its card
    temperature  by which the logits were divided
    reports      accuracy by the names of the views
    ungated      why it has no gate; empty where it has one
    """

    model: GeoModel
    weights: Path
    card: Path
    temperature: float
    reports: Mapping[str, ViewReport]
    ungated: str


def release_run(
    run_dir: Path,
    views: ReleaseViews,
    others: OtherPictures,
    folder: Path,
    *,
    size_px: int | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Release:
    """Calibrate a run's best network, write it, fit its gate, and measure what was written, on a device.

    `size_px` is the side of the images that the model will look at; None is that of the last phase of training. A
    network that was trained shortly at its last size may be better at the one before.
    A model that there are too few images to fit a gate for is released without one. Raises CheckpointError when the run
    cannot be read.
    """
    device = torch.device(device)
    saved = load_checkpoint(checkpoint_file(run_dir))
    settings = saved_settings(saved)
    network = saved_network(saved, device)
    size_px = size_px or settings.phases[-1].size_px
    preprocess = preprocess_for(settings.architecture, size_px)
    centers_deg = saved["centers_deg"].numpy()
    logits, cells = [], []
    for name, some in views.calibration.items():
        step = _step(progress, f"calibrating on {name}")
        logits.append(view_logits(network, some, preprocess, device=device, progress=step))
        cells.append(great_circle_km(some.truth_deg.numpy()[:, None], centers_deg).argmin(axis=1))
    temperature = fit_temperature(torch.cat(logits), np.concatenate(cells))
    # Of the first views alone, the plain ones: under clouds the truth scatters more widely, and one σ cannot be right
    # for both. The card has the coverage of the circles for all kinds of views.
    first = next(iter(views.calibration.values()))
    sigma_km = fit_sigma(logits[0] / temperature, first.truth_deg.numpy(), centers_deg)
    calibrated = view_model(network, size_px=size_px, temperature=temperature, sigma_km=sigma_km, device=device)
    weights = write_release(calibrated, folder)
    # What is fitted to and measured is what is shipped: fp16 weights, and cells rounded as in their table.
    model, ungated = load_model(weights, device), ""
    try:
        write_gate(view_gate(model, views, others, progress=progress), weights)
        model = load_model(weights, device)
    except DataError as error:
        ungated = str(error)
    reports = {
        name: evaluate_views(model, some, progress=_step(progress, f"measuring on {name}"))
        for name, some in views.figures.items()
    }
    facts: dict[str, Any] = {
        "training": {**asdict(settings), "views_seen": saved["seen"], "imagery": saved.get("imagery", [])},
        "temperature": temperature,
        "sigma_km": sigma_km,
        "calibration_views": {name: len(some) for name, some in views.calibration.items()},
        "validation": {
            name: {"imagery": views.figures[name].name, **views.sampling.get(name, {}), **report.as_dict()}
            for name, report in reports.items()
        },
        "gate": None if model.gate is None else dict(model.gate.figures),
    }
    return Release(model, weights, write_card(model, weights, facts), temperature, reports, ungated)


def view_gate(model: GeoModel, views: ReleaseViews, others: OtherPictures, *, progress: Progress | None = None) -> Gate:
    """A gate for a model of views, fitted on views and on pictures that are none.

    Raises DataError when there are too few of either.
    """
    backbone, preprocess = model.backbone, model.preprocess
    stages = gate_stages(backbone)

    def of_views(sets: Mapping[str, ViewSet]) -> dict[str, Any]:
        return {
            name: image_statistics(
                backbone,
                view_inputs(some, preprocess, progress=_step(progress, f"looking at {name}")),
                stages,
            )
            for name, some in sets.items()
        }

    return fit_gate(
        of_views(views.gate),
        image_statistics(backbone, others.fitting(preprocess, _step(progress, "looking at other pictures")), stages),
        held_out=of_views(views.gate_test),
        others_held_out=image_statistics(
            backbone, others.measuring(preprocess, _step(progress, "looking at more other pictures")), stages
        ),
        stages=stages,
        kind=KIND,
        fitted_on=f"views ({', '.join(views.gate)}) against {others.words()}",
    )


def _step(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(what, done, total)
