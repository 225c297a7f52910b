"""Sanity checks over a set of images: what is left of each explanation once the weights are drawn anew, resumable."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.evaluation.asking import Crew, ask, kept, unanswered
from geoexplain.evaluation.bootstrap import CONFIDENCE, RESAMPLES, bootstrap_interval
from geoexplain.evaluation.figures import or_none
from geoexplain.evaluation.photos import DEGREE_DIGITS, SHARE_DIGITS
from geoexplain.evaluation.pictures import Picture, Source
from geoexplain.evaluation.record import Kind
from geoexplain.explainer.sanity import DRAWS, SANITY_CANDIDATES, SanityCheck, judged, parts, sanity_checks
from geoexplain.explainer.trace import trace
from geoexplain.explainer.tuned import TITLES, candidate_of
from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import predict
from geoexplain.locator.tuned import StageWeights

FORMAT = "geoexplain-sanity/1"

DIGITS = 6
"""Decimals kept of a correlation and of an SSIM."""

ABOUT = ("id", "file", "status", "lat_deg", "lon_deg", "cell", "label", "probability")
"""What the table says of an image, whatever the method."""

COLUMNS = (*ABOUT, "method", "step", "randomised", "rank_correlation", "ssim", "verdict", "reason")

Draws = list[list[float | None]]
"""One value for every draw and step; None where one of the two maps is flat."""


@dataclass(frozen=True)
class Randomisation:
    """What is checked: names out of TITLES, on `draws` networks each, the same for all images, from `seed` on.

    `tuned` is what "combi-cam-tuned" is, if it is among them: the model's own. Raises DataError for other names, none
    at all, or draws below 1.
    """

    methods: tuple[str, ...] = tuple(SANITY_CANDIDATES)
    draws: int = DRAWS
    seed: int = 0
    tuned: StageWeights | None = None

    def __post_init__(self) -> None:
        if not self.methods or not set(self.methods) <= set(TITLES):
            raise DataError(f"expected methods out of {', '.join(TITLES)}, got {', '.join(self.methods) or 'none'}.")
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

        The networks are made again for every image, which takes a third of the time: all of them at once would take
        a gigabyte for a small model, and images side by side would be lost together.
        """
        if picture.tensor is None:
            return self.failed(picture, picture.reason or "", unreadable=True)
        tensor = picture.tensor.to(model.device)
        traced = trace(model, tensor, None, "probability")
        candidates = {name: candidate_of(model, name) for name in self.methods}
        checks = sanity_checks(model, tensor, traced.target, candidates, draws=self.draws, seed=self.seed)
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
            {name: rounded(check.correlations) for name, check in checks.items()},
            {name: rounded(check.similarities) for name, check in checks.items()},
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
    similarities: dict[str, Draws] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True, eq=False)
class SetSanity:
    """One method over all images.

    check         correlations and similarities (draws, steps) as means over the images, and the verdict on them
    correlations  (steps,): mean over the images of each one's mean over the draws
    similarities  (steps,): likewise
    intervals     (low, high) of the mean correlation at each step, by bootstrap over the images
    images        images that have a map at all
    verdicts      how many images have which verdict, alone
    """

    check: SanityCheck
    correlations: NDArray[np.float64]
    similarities: NDArray[np.float64]
    intervals: tuple[tuple[float, float], ...]
    images: int
    verdicts: dict[str, int]


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


def over_images(answers: Sequence[ImageSanity], randomisation: Randomisation) -> dict[str, SetSanity]:
    """Method → what is found over all images; nothing when no image could be examined.

    The verdict is that of `judged` on the means over the images: chance is what differs between the networks drawn.
    """
    seen = [answer for answer in answers if answer.status == "ok"]
    if not seen:
        return {}
    found = {}
    for name in randomisation.methods:
        correlations = array_of([answer.correlations[name] for answer in seen])  # (images, draws, steps)
        similarities = array_of([answer.similarities[name] for answer in seen])
        flat = [answer.verdicts[name] == "none" for answer in seen]
        check = judged(
            name,
            TITLES[name],
            tuple(seen[0].steps),
            averaged(correlations),
            averaged(similarities),
            flat=all(flat),
        )
        per_image, alike = (np.stack([averaged(one) for one in all_]) for all_ in (correlations, similarities))
        intervals = tuple(bootstrap_interval(step[np.isfinite(step)]) for step in per_image.T)
        verdicts = Counter(answer.verdicts[name] for answer in seen)
        found[name] = SetSanity(
            check,
            averaged(per_image),
            averaged(alike),
            intervals,
            len(seen) - sum(flat),
            dict(sorted(verdicts.items())),
        )
    return found


def summary_of(
    answers: Sequence[ImageSanity], found: Mapping[str, SetSanity], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Counts, the images left out by name, and what is found by method, as plain data for JSON; what is NaN is None."""
    left = {status: [one for one in answers if one.status == status] for status in ("unreadable", "failed", "missing")}
    return {
        "settings": dict(settings),
        "counts": {"evaluated": sum(one.status == "ok" for one in answers)} | {key: len(v) for key, v in left.items()},
        **{key: [{"id": one.id, "file": one.file, "reason": one.reason} for one in ones] for key, ones in left.items()},
        "interval": {"confidence": CONFIDENCE, "resamples": RESAMPLES, "method": "percentile bootstrap over images"},
        "methods": {
            name: {
                "verdict": one.check.verdict,
                "sentence": one.check.sentence,
                "images": one.images,
                "verdicts_of_single_images": one.verdicts,
                "steps": [
                    {
                        "randomised": step,
                        "rank_correlation": or_none(float(correlation)),
                        "low": or_none(low),
                        "high": or_none(high),
                        "ssim": or_none(float(similarity)),
                    }
                    for step, correlation, similarity, (low, high) in zip(
                        one.check.steps,
                        one.correlations,
                        one.similarities,
                        one.intervals,
                        strict=True,
                    )
                ],
            }
            for name, one in found.items()
        },
    }


def rows_of(answer: ImageSanity) -> Iterator[Sequence[Any]]:
    """An answer's rows in the table: one per method and step, or one that says why there is none."""
    image = [getattr(answer, name) for name in ABOUT]
    if answer.status != "ok":
        yield [*image, *(None for _ in COLUMNS[len(ABOUT) : -1]), answer.reason]
    for method, correlations in answer.correlations.items():
        means = [averaged(array_of(values)) for values in (correlations, answer.similarities[method])]
        for step, (part, *found) in enumerate(zip(answer.steps, *means, strict=True), 1):
            values = [None if math.isnan(value) else round(float(value), DIGITS) for value in found]
            yield [*image, method, step, part, *values, answer.verdicts[method], None]


def rounded(values: NDArray[np.float64]) -> Draws:
    """Values (draws, steps) as plain data, to DIGITS decimals."""
    return [[None if math.isnan(value) else round(float(value), DIGITS) for value in draw] for draw in values]


def array_of(values: Any) -> NDArray[np.float64]:
    """Nested lists as an array, NaN for None."""
    return np.array(values, dtype=np.float64)


def averaged(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the first axis of what is not NaN; NaN where everything is."""
    counts = np.isfinite(values).sum(axis=0)
    return np.where(counts, np.nansum(values, axis=0) / np.maximum(counts, 1), np.nan)
