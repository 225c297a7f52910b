"""Release a model of views: calibrate and measure it on different views of imagery outside the training set."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.evaluation.views import evaluate_views, view_inputs, view_logits
from geoexplain.geography.addresses.cell_names import name_cells
from geoexplain.geography.partitioning import Partitioning
from geoexplain.imagery.conditions import CONDITIONS, ViewSet, views_under
from geoexplain.imagery.discs import Disc, disc_views
from geoexplain.imagery.earth import Imagery
from geoexplain.imagery.effects import Surroundings
from geoexplain.locator.backbone import preprocess_for
from geoexplain.locator.gate import Gate
from geoexplain.locator.model import GeoModel, LocalizableRule
from geoexplain.training.calibration import REFINE_KM, fit_sigma, fit_temperature, fold_temperatures, temperature_layers
from geoexplain.training.other_pictures import OtherPictures
from geoexplain.training.release import Draft, build_model, gate_of
from geoexplain.training.run import Trained
from geoexplain.training.source import Working, step_of
from geoexplain.training.views import FOOTPRINT_KM, ROTATION_DEG

NAME = "earth-views-lite0"
TITLE = "Earth from above (EfficientNet-Lite0)"
PURPOSE = "Views of Earth from above, north roughly up; for street photos load another model."
RULE = LocalizableRule(scale_km=750, threshold=0.5)

EVALUATION_SEED, VALIDATION_SEED, CALIBRATION_SEED, GATE_SEED, GATE_TEST_SEED = 0, 1, 2, 3, 4
"""Seeds of different sets of views: figures on views that the model was calibrated on would be too good."""


@dataclass(frozen=True, eq=False)
class ViewExamples:
    """The sets of views that a release needs, by name; none were trained on.

    partitioning  the cells of the run
    calibration   fit the temperature; the first set, the plain views, fits the scatter around the point
    gated         fit the gate
    gate_test     one half sets the gate's threshold, the other half measures it
    figures       measure accuracy
    sampling      how `figures` were drawn, for the card: name of a set → name of an option → plain data
    """

    partitioning: Partitioning
    calibration: Mapping[str, ViewSet]
    gated: Mapping[str, ViewSet]
    gate_test: Mapping[str, ViewSet]
    figures: Mapping[str, ViewSet]
    sampling: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    name: str = NAME
    title: str = TITLE

    def draft(self, trained: Trained, size_px: int, *, progress: Working | None = None) -> Draft:
        """Return a calibrated model, its cells named after their locations.

        Raises DataError for a head over several partitionings.
        """
        network, cells = trained.network, self.partitioning.levels[0]
        if len(temperature_layers(network.head)) > 1:
            raise DataError(
                f"views: expected a head over one partitioning, got {trained.settings.head}: train with another."
            )
        device = next(network.parameters()).device
        preprocess = preprocess_for(trained.settings.architecture, size_px)
        logits, truth = [], []
        for name, some in self.calibration.items():
            step = step_of(progress, f"calibrating on {name}")
            logits.append(view_logits(network, some, preprocess, device=device, progress=step))
            truth.append(cells.nearest_many(some.truth_deg.numpy()))
        temperature = fit_temperature(torch.cat(logits), np.concatenate(truth))
        # Fit σ on the first set only, the plain views: under clouds the truth scatters more widely, and one σ cannot
        # fit both. The card has the coverage of the circles for all kinds of views.
        first = next(iter(self.calibration.values()))
        sigma_km = fit_sigma(logits[0] / temperature, first.truth_deg.numpy(), cells.centers_deg)
        fold_temperatures(network.head, (temperature,))
        named = replace(self.partitioning, levels=(name_cells(cells), *self.partitioning.levels[1:]))
        model = build_model(
            network,
            named,
            size_px=size_px,
            name=self.name,
            title=self.title,
            purpose=PURPOSE,
            rule=RULE,
            refine_km=REFINE_KM,
            sigma_km=sigma_km,
            device=device,
        )
        facts = {
            "temperature": temperature,
            "sigma_km": sigma_km,
            "calibration_views": {name: len(some) for name, some in self.calibration.items()},
        }
        return Draft(model, facts)

    def gate(self, model: GeoModel, others: OtherPictures, *, progress: Working | None = None) -> Gate:
        """Fit a gate for a model of views. Raises DataError for too few views or pictures."""

        def images(sets: Mapping[str, ViewSet]) -> dict[str, Iterator[Tensor]]:
            return {
                name: view_inputs(some, model.preprocess, progress=step_of(progress, f"looking at {name}"))
                for name, some in sets.items()
            }

        return gate_of(
            model,
            images(self.gated),
            images(self.gate_test),
            others,
            kind="a view of Earth from above",
            fitted_on=f"views ({', '.join(self.gated)})",
            progress=progress,
        )

    def measure(
        self, model: GeoModel, *, progress: Working | None = None
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return a ViewReport for each set of views, and the same as plain data for the card."""
        reports = {
            name: evaluate_views(model, some, progress=step_of(progress, f"measuring on {name}"))
            for name, some in self.figures.items()
        }
        records = {
            name: {"imagery": self.figures[name].name, **self.sampling.get(name, {}), **report.as_dict()}
            for name, report in reports.items()
        }
        return reports, {"validation": records}


def view_examples(
    partitioning: Partitioning, validation: Imagery, discs: Sequence[Disc], around: Surroundings, views: int
) -> ViewExamples:
    """Draw plain views, views as in training (if there are clouds), and views of discs.

    The calibration gets `views` views of each kind. Fitting the gate, setting its threshold and measuring accuracy get
    half as many each, all of them different.
    """
    names = ("plain", "mixture") if around.clouds is not None else ("plain",)

    def sets(seed: int, number: int, *, with_discs: bool) -> dict[str, ViewSet]:
        sampling: dict[str, Any] = {"footprint_km": FOOTPRINT_KM, "rotation_deg": ROTATION_DEG, "seed": seed}
        drawn_sets = {
            name: views_under(CONDITIONS[name], validation, views=number, around=around, **sampling) for name in names
        }
        if discs and with_discs:
            drawn_sets["discs"] = disc_views(discs, views=number, **sampling)
        return drawn_sets

    half = max(views // 2, 1)
    drawn = {"seed": EVALUATION_SEED, "footprint_km": FOOTPRINT_KM, "rotation_deg": ROTATION_DEG}
    sampling = {name: {"seed": EVALUATION_SEED} if name == "mixture" else drawn for name in (*names, "discs")}
    return ViewExamples(
        partitioning,
        calibration=sets(CALIBRATION_SEED, views, with_discs=False),
        gated=sets(GATE_SEED, half, with_discs=True),
        gate_test=sets(GATE_TEST_SEED, half, with_discs=True),
        figures=sets(EVALUATION_SEED, half, with_discs=True),
        sampling=sampling,
    )
