"""Sanity checks over a set of images: what is left of each explanation once the weights are drawn anew, resumable."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.evaluation.asking import Crew, ask, kept, unanswered
from geoexplain.evaluation.photos import DEGREE_DIGITS, SHARE_DIGITS
from geoexplain.evaluation.pictures import Picture, Source
from geoexplain.evaluation.record import Kind
from geoexplain.explainer.sanity import parts, sanity_checks
from geoexplain.explainer.sanity_verdict import Comparisons, mean_over_first
from geoexplain.explainer.table import CAMS, of_family
from geoexplain.explainer.trace import trace
from geoexplain.explainer.tuned import candidate_of
from geoexplain.explainer.tuning_gain import untuned
from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import predict
from geoexplain.locator.tuned import StageWeights

FORMAT = "geoexplain-sanity/2"

DRAWS = 5
"""How often the weights are drawn for every image, unless told otherwise: what counts is the number of images."""

DIGITS = 6
"""Decimals kept of a correlation, a chance level, a resemblance and an SSIM."""

ABOUT = ("id", "file", "status", "lat_deg", "lon_deg", "cell", "label", "probability")
"""What the table says of an image, whatever the method."""

FIGURES = ("rank_correlation", "absolute_rank_correlation", "chance", "resemblance", "ssim")
"""What it says of a method at a step: means over the draws."""

COLUMNS = (*ABOUT, "method", "step", "randomised", *FIGURES, "verdict", "reason")

Draws = list[list[float | None]]
"""One value for every draw and step; None where one of the two maps is flat."""


@dataclass(frozen=True)
class Randomisation:
    """What is checked: names of CAMs, on `draws` networks for each image, which `seed` and its index make.

    Networks that all images share would let them agree on what these networks do by chance: the interval over images
    would be too narrow. `tuned` is what "combi-cam-tuned" is, if it is among them: the model's own. Raises DataError
    for other names, none at all, or draws below 1.
    """

    methods: tuple[str, ...] = field(default_factory=lambda: tuple(untuned()))
    draws: int = DRAWS
    seed: int = 0
    tuned: StageWeights | None = None

    def __post_init__(self) -> None:
        if not self.methods or not set(self.methods) <= set(of_family(*CAMS)):
            raise DataError(
                f"expected methods out of {', '.join(of_family(*CAMS))}, got {', '.join(self.methods) or 'none'}."
            )
        if self.draws < 1:
            raise DataError(f"expected at least 1 draw of the weights, got {self.draws}.")

    @property
    def format(self) -> str:
        """Name and version of the files."""
        return FORMAT

    def settings(self) -> dict[str, Any]:
        """Everything in it that decides the answers, as plain data."""
        found = {"methods": list(self.methods), "draws": self.draws, "seed": self.seed}
        return found if self.tuned is None else {**found, "tuned": asdict(self.tuned)}

    def kind(self) -> "Kind[ImageSanity]":
        """How answers are kept: in the table, one row per image, method and step, with the means over the draws."""
        return kept(ImageSanity, COLUMNS, rows_of)

    def answer(self, model: GeoModel, picture: Picture) -> "ImageSanity":
        """One image's answer: its most probable cell explained by the network and by all that are drawn.

        Every network is looked at part by part, which the table and the plot show.
        """
        if picture.tensor is None:
            return self.failed(picture, picture.reason or "", unreadable=True)
        tensor = picture.tensor.to(model.device)
        traced = trace(model, tensor, None, "probability")
        candidates = {name: candidate_of(model, name) for name in self.methods}
        checks = sanity_checks(
            model,
            tensor,
            traced.target,
            candidates,
            draws=self.draws,
            cascades=self.draws,
            seed=(self.seed, picture.index),
        )
        return ImageSanity(
            picture.id,
            picture.file,
            "ok",
            round(picture.lat_deg, DEGREE_DIGITS),
            round(picture.lon_deg, DEGREE_DIGITS),
            traced.target,
            model.partition.labels[traced.target],
            round(float(predict(model, traced.logits).probabilities[traced.target]), SHARE_DIGITS),
            [name for name, _ in parts(model)],
            {name: rounded(check.compared.correlations) for name, check in checks.items()},
            {name: rounded(check.compared.chances) for name, check in checks.items()},
            {name: rounded(check.compared.similarities) for name, check in checks.items()},
            {name: check.verdict for name, check in checks.items()},
        )

    def failed(self, picture: Picture, reason: str, *, unreadable: bool) -> "ImageSanity":
        """The answer about an image that has none."""
        return unanswered(ImageSanity, picture, reason, unreadable=unreadable)


@dataclass(frozen=True)
class ImageSanity:
    """All that is found of one image; None or nothing where there is nothing to say.

    id, file           of the image, as its source names it
    status             "ok", "unreadable", "failed" (it could be read, but not examined) or "missing"
    lat_deg, lon_deg   its true place
    cell, label        the explained cell, which is the most probable one, and its name
    probability        of that cell, in [0, 1]
    steps              the part that is drawn at each step, in addition to those before it
    correlations       method → rank correlation with the original map at each draw and step
    chances            method → mean |rank correlation| of unrelated maps that are as coarse, likewise
    similarities       method → SSIM likewise
    verdicts           method → verdict on this image alone
    reason             why the image could not be read or examined
    """

    id: str
    file: str | None = None
    status: str = "missing"
    lat_deg: float | None = None
    lon_deg: float | None = None
    cell: int | None = None
    label: str | None = None
    probability: float | None = None
    steps: list[str] = field(default_factory=list)
    correlations: dict[str, Draws] = field(default_factory=dict)
    chances: dict[str, Draws] = field(default_factory=dict)
    similarities: dict[str, Draws] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)
    reason: str | None = None


def evaluate_sanity(
    model: GeoModel,
    source: Source,
    randomisation: Randomisation,
    out: Path,
    *,
    crew: Crew | None = None,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[ImageSanity, ...]:
    """Check every explanation of every image of a source; return all answers in its order, missing ones last.

    See `ask`: resumable, and with a `crew` on several processes or a cluster. Raises DataError as it does.
    """
    return ask(randomisation, model, source, out, crew=crew, resume=resume, progress=progress)


def comparisons_of(answer: ImageSanity, method: str) -> Comparisons:
    """An image's figures of one method as arrays (draws, steps)."""
    return Comparisons(
        *map(array_of, (answer.correlations[method], answer.chances[method], answer.similarities[method]))
    )


def rows_of(answer: ImageSanity) -> Iterator[Sequence[Any]]:
    """An answer's rows in the table: one per method and step, or one that says why there is none."""
    image = [getattr(answer, name) for name in ABOUT]
    if answer.status != "ok":
        yield [*image, *(None for _ in COLUMNS[len(ABOUT) : -1]), answer.reason]
    for method in answer.correlations:
        one = comparisons_of(answer, method)
        means = [
            mean_over_first(figure)
            for figure in (
                one.correlations,
                np.abs(one.correlations),
                one.chances,
                one.resemblances(),
                one.similarities,
            )
        ]
        for step, (part, *found) in enumerate(zip(answer.steps, *means, strict=True), 1):
            values = [None if math.isnan(value) else round(float(value), DIGITS) for value in found]
            yield [*image, method, step, part, *values, answer.verdicts[method], None]


def rounded(values: NDArray[np.float64]) -> Draws:
    """Values (draws, steps) as plain data, to DIGITS decimals."""
    return [[None if math.isnan(value) else round(float(value), DIGITS) for value in draw] for draw in values]


def array_of(values: Any) -> NDArray[np.float64]:
    """Nested lists as an array, NaN for None."""
    return np.array(values, dtype=np.float64)
