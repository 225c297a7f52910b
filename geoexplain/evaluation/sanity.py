"""Sanity checks over a set of images: what is left of each explanation once the weights are drawn anew."""

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
"""How often the weights are drawn for every image, unless told otherwise: what counts is the number of images."""

DIGITS = 6
"""Decimals kept of a correlation, a chance level, a resemblance and an SSIM."""

FIGURES = ("rank_correlation", "absolute_rank_correlation", "chance", "resemblance", "ssim")
"""What the table says of a method at a step: means over the draws."""

Draws = list[list[float | None]]
"""One value for every draw and step; None where one of the two maps is flat."""


@dataclass(frozen=True)
class ImageSanity(ImageAnswer):
    """All that is found of one image.

    steps         the part that is drawn at each step, in addition to those before it
    correlations  method → rank correlation with the original map at each draw and step
    chances       method → mean |rank correlation| of unrelated maps that are as coarse, likewise
    similarities  method → SSIM likewise
    verdicts      method → verdict on this image alone
    """

    steps: list[str] = field(default_factory=list)
    correlations: dict[str, Draws] = field(default_factory=dict)
    chances: dict[str, Draws] = field(default_factory=dict)
    similarities: dict[str, Draws] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)

    def comparisons(self, method: str) -> Comparisons:
        """The figures of one method as arrays (draws, steps), NaN for None."""
        found = (self.correlations[method], self.chances[method], self.similarities[method])
        return Comparisons(*(np.array(values, dtype=np.float64) for values in found))


@dataclass(frozen=True, kw_only=True)
class Randomisation(Question[ImageSanity, dict[str, SetSanity]]):
    """What is checked, besides what every Question has, on `draws` networks for each image.

    The seed and the image's index make the networks. Networks that all images share would let them agree on what these
    networks do by chance: the interval over images would be too narrow. Raises DataError for other names, none at all,
    or draws below 1.
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
        """The explanations by the network and by all that are drawn, each of which is looked at part by part."""
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
        """One row per method and step, with means over the draws; see Question."""
        for method in answer.correlations:
            one = answer.comparisons(method)
            figures = (one.correlations, np.abs(one.correlations), one.chances, one.resemblances(), one.similarities)
            means = plain_values(np.stack([mean_over_first(figure) for figure in figures], axis=1))  # (steps, figures)
            for step, (part, values) in enumerate(zip(answer.steps, means, strict=True), 1):
                yield [method, step, part, *values, answer.verdicts[method], None]

    def findings(self, answers: Sequence[ImageSanity]) -> dict[str, SetSanity]:
        """Method → what is found over all images; nothing when no image could be examined.

        Images are what is counted: each with networks of its own, and one figure, the mean over these.
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
    """Values (draws, steps) as plain data, to DIGITS decimals, None for NaN."""
    return [[None if math.isnan(value) else round(float(value), DIGITS) for value in draw] for draw in values]
