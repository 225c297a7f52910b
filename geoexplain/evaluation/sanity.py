"""Sanity checks over a set of images: how similar each explanation stays when the weights are randomised."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.evaluation.figures import INTERVAL
from geoexplain.evaluation.methods import candidates_by_name, default_sanity_methods, sanity_methods, title_of
from geoexplain.evaluation.plot import plot_sanity
from geoexplain.evaluation.question import CELL, PLACE, ImageAnswer, Question, TracedImage, examined_answers
from geoexplain.evaluation.sanity_tables import SetSanity, over_images
from geoexplain.explainer.sanity import sanity_checks, weighted_parts
from geoexplain.explainer.sanity_verdict import Comparisons, mean_over_first
from geoexplain.locator.model import GeoModel

DRAWS = 5
"""Random networks per image by default. More images help more than more draws."""

DIGITS = 6
"""Decimals kept of a correlation, a chance level, a resemblance and an SSIM."""

FIGURES = ("rank_correlation", "absolute_rank_correlation", "chance", "resemblance", "ssim")
"""Columns of the table for a method at a step: means over the draws."""

Draws = list[list[float | None]]
"""One value for every draw and step; None where one of the two maps is flat."""


@dataclass(frozen=True)
class ImageSanity(ImageAnswer):
    """The sanity checks of one image.

    steps         the part that is randomised at each step, in addition to those before it
    correlations  method → rank correlation with the original map at each draw and step
    chances       method → mean |rank correlation| of unrelated, equally coarse maps at each draw and step
    similarities  method → SSIM with the original map at each draw and step
    verdicts      method → verdict on this image alone
    """

    steps: list[str] = field(default_factory=list)
    correlations: dict[str, Draws] = field(default_factory=dict)
    chances: dict[str, Draws] = field(default_factory=dict)
    similarities: dict[str, Draws] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)

    def comparisons(self, method: str) -> Comparisons:
        """Return the figures of one method as arrays (draws, steps), NaN for None."""
        figures = (self.correlations[method], self.chances[method], self.similarities[method])
        return Comparisons(*(np.array(values, dtype=np.float64) for values in figures))


@dataclass(frozen=True, kw_only=True)
class Randomisation(Question[ImageSanity, dict[str, SetSanity]]):
    """The question of the sanity checks: explanations of each image by `draws` random networks.

    The seed and the image's index determine the networks. If all images shared networks, their results would be
    correlated and the interval over images too narrow. Raises DataError for unknown or no methods, or draws below 1.
    """

    FORMAT = "geoexplain-sanity/2"
    ANSWER = ImageSanity
    ABOUT = (*PLACE, *CELL)
    PLOT = "resemblance-by-step.png"

    methods: tuple[str, ...] = field(default_factory=default_sanity_methods)
    draws: int = DRAWS

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.draws < 1:
            raise DataError(f"expected at least 1 draw of the weights, got {self.draws}.")

    @classmethod
    def known_methods(cls) -> tuple[str, ...]:
        """See Question."""
        return sanity_methods()

    @property
    def columns(self) -> tuple[str, ...]:
        """See Question."""
        return ("step", "randomised", *FIGURES, "verdict")

    def own_settings(self) -> dict[str, Any]:
        """See Question."""
        return {"draws": self.draws}

    def examine(self, model: GeoModel, image: TracedImage) -> dict[str, Any]:
        """Compare the explanations by the network with those by random networks, part by part; see Question."""
        checks = sanity_checks(
            model,
            image.tensor,
            image.trace.target,
            candidates_by_name(model, self.methods),
            draws=self.draws,
            cascades=self.draws,
            seed=(self.seed, image.picture.index),
        )
        return {
            "steps": [name for name, _ in weighted_parts(model)],
            "correlations": {name: plain_values(check.compared.correlations) for name, check in checks.items()},
            "chances": {name: plain_values(check.compared.chances) for name, check in checks.items()},
            "similarities": {name: plain_values(check.compared.similarities) for name, check in checks.items()},
            "verdicts": {name: check.verdict for name, check in checks.items()},
        }

    def method_rows(self, answer: ImageSanity) -> Iterator[Sequence[Any]]:
        """Yield one row per method and step, with means over the draws; see Question."""
        for method in answer.correlations:
            one = answer.comparisons(method)
            figures = (one.correlations, np.abs(one.correlations), one.chances, one.resemblances(), one.similarities)
            means = plain_values(np.stack([mean_over_first(figure) for figure in figures], axis=1))  # (steps, figures)
            for step, (part, values) in enumerate(zip(answer.steps, means, strict=True), 1):
                yield [method, step, part, *values, answer.verdicts[method], None]

    def findings(self, answers: Sequence[ImageSanity]) -> dict[str, SetSanity]:
        """Return method → result over all images; empty if no image could be examined.

        The unit of the statistics is the image: each has its own networks, and counts with the mean over them.
        """
        seen = examined_answers(answers)
        return {
            name: over_images(
                title_of(name),
                seen[0].steps,
                [answer.comparisons(name) for answer in seen],
                [answer.verdicts[name] for answer in seen],
            )
            for name in (self.methods if seen else ())
        }

    def figures(self, answers: Sequence[ImageSanity], findings: dict[str, SetSanity]) -> dict[str, Any]:  # noqa: ARG002
        """See Question."""
        return {"interval": INTERVAL, "methods": {name: one.as_dict() for name, one in findings.items()}}

    def plot(self, findings: dict[str, SetSanity], title: str, file: Path) -> None:
        """See Question."""
        plot_sanity(findings, title, file)


def plain_values(values: NDArray[np.float64]) -> Draws:
    """Return values (draws, steps) as plain data, to DIGITS decimals, None for NaN."""
    return [[None if math.isnan(value) else round(float(value), DIGITS) for value in draw] for draw in values]
