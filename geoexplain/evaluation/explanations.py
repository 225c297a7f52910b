"""How faithful explanations are over a set of images: every method and baseline by every metric, resumable."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.evaluation.asking import Crew, ask, kept, unanswered
from geoexplain.evaluation.photos import DEGREE_DIGITS, SHARE_DIGITS, error_km
from geoexplain.evaluation.pictures import Picture, Source
from geoexplain.evaluation.record import Kind
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.faithfulness import METRICS, measure, metric_name
from geoexplain.explainer.metrics import ROAD_STEPS, STEPS
from geoexplain.explainer.subject import Measure, Subject, subject
from geoexplain.explainer.table import BASELINE, CAMS, TUNED, kind_of, of_family
from geoexplain.explainer.target import Explained
from geoexplain.explainer.trace import Trace, trace
from geoexplain.explainer.tuned import candidate_of
from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import predict
from geoexplain.locator.tuned import StageWeights

FORMAT = "geoexplain-explanations/1"

MEASURE_DIGITS = 9
"""Decimals kept of a metric."""

EXPLANATIONS = tuple(of_family(*CAMS, BASELINE))
"""Names of all that can be compared: explanations, the last of which only some models have, then baselines."""

DEFAULT_EXPLANATIONS = tuple(
    name for name, kind in of_family(*CAMS, BASELINE).items() if not kind.passes and name != TUNED
)
"""Those compared unless told otherwise: Score-CAM takes as many passes as all the others together."""


@dataclass(frozen=True)
class Examination:
    """What is measured.

    methods     names out of EXPLANATIONS
    metrics     keys of METRICS
    steps       of deletion and insertion
    road_steps  of ROAD
    seed        of random maps and of ROAD's noise, together with an image's index
    tuned       what "combi-cam-tuned" is, if it is among the methods: the model's own

    Raises DataError for other names, none at all, or steps below 1.
    """

    methods: tuple[str, ...] = DEFAULT_EXPLANATIONS
    metrics: tuple[str, ...] = tuple(METRICS)
    steps: int = STEPS
    road_steps: int = ROAD_STEPS
    seed: int = 0
    tuned: StageWeights | None = None

    def __post_init__(self) -> None:
        for what, names, known in (("methods", self.methods, EXPLANATIONS), ("metrics", self.metrics, METRICS)):
            if not names or not set(names) <= set(known):
                raise DataError(f"expected {what} out of {', '.join(known)}, got {', '.join(names) or 'none'}.")
        if min(self.steps, self.road_steps) < 1:
            raise DataError(f"expected at least 1 step, got {self.steps} and {self.road_steps}.")

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the metrics with their numbers of steps, in the order of METRICS."""
        return tuple(metric_name(name, self.steps, self.road_steps) for name in METRICS if name in self.metrics)

    @property
    def format(self) -> str:
        """Name and version of the files."""
        return FORMAT

    def settings(self) -> dict[str, Any]:
        """Everything in it that decides the answers, as plain data."""
        found = {"methods": list(self.methods), "metrics": list(self.columns), "seed": self.seed}
        return found if self.tuned is None else {**found, "tuned": asdict(self.tuned)}

    def kind(self) -> "Kind[ImageMeasures]":
        """How answers are kept: in the table, one row per image and method."""
        return kept(ImageMeasures, (*ABOUT, "method", *self.columns, "reason"), partial(rows_of, self.columns))

    def answer(self, model: GeoModel, picture: Picture) -> "ImageMeasures":
        """One image's answer."""
        return measured(model, picture, self)

    def failed(self, picture: Picture, reason: str, *, unreadable: bool) -> "ImageMeasures":
        """The answer about an image that has none."""
        return unanswered(ImageMeasures, picture, reason, unreadable=unreadable)


@dataclass(frozen=True)
class ImageMeasures:
    """All that is measured of one image; None where there is nothing to say.

    id, file           of the image, as its source names it
    status             "ok", "unreadable", "failed" (it could be read, but not examined) or "missing"
    lat_deg, lon_deg   its true place
    cell, label        the explained cell, which is the most probable one, and its name
    probability        of that cell, in [0, 1]
    error_km           great-circle distance of the predicted point from the truth
    values             method → metric → value
    reasons            method → metric → why there is no value
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
    error_km: float | None = None
    values: dict[str, dict[str, float | None]] = field(default_factory=dict)
    reasons: dict[str, dict[str, str]] = field(default_factory=dict)
    reason: str | None = None


ABOUT = ("id", "file", "status", "lat_deg", "lon_deg", "cell", "label", "probability", "error_km")
"""What the table says of an image, whatever the method."""


def evaluate_explanations(
    model: GeoModel,
    source: Source,
    examination: Examination,
    out: Path,
    *,
    crew: Crew | None = None,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[ImageMeasures, ...]:
    """Measure every explanation of every image of a source; return all answers in its order, missing ones last.

    See `ask`: resumable, and with a `crew` on several processes or a cluster. Raises DataError as it does.
    """
    return ask(examination, model, source, out, crew=crew, resume=resume, progress=progress)


def measured(model: GeoModel, picture: Picture, examination: Examination) -> ImageMeasures:
    """One image's answer: its most probable cell explained in every way, and every explanation measured."""
    if picture.tensor is None:
        return examination.failed(picture, picture.reason or "", unreadable=True)
    tensor = picture.tensor.to(model.device)
    traced = trace(model, tensor, None, "probability")
    found = predict(model, traced.logits, statistics=traced.statistics)
    looked_at = subject(model, tensor, traced.target)
    values: dict[str, dict[str, float | None]] = {}
    reasons: dict[str, dict[str, str]] = {}
    for method in examination.methods:
        again = partial(explained, model, traced.target, method, (examination.seed, picture.index, 1))
        measures = measure(
            looked_at,
            drawn(model, tensor, traced, method, (examination.seed, picture.index, 0)),
            again,
            examination.metrics,
            steps=examination.steps,
            road_steps=examination.road_steps,
            seed=examination.seed,
        )
        values[method] = {one.name: rounded(one) for one in measures}
        why = {one.name: one.reason for one in measures if one.reason is not None}
        if why:
            reasons[method] = why
    return ImageMeasures(
        picture.id,
        picture.file,
        "ok",
        round(picture.lat_deg, DEGREE_DIGITS),
        round(picture.lon_deg, DEGREE_DIGITS),
        traced.target,
        model.partition.labels[traced.target],
        round(looked_at.probability, SHARE_DIGITS),
        error_km((found.lat_deg, found.lon_deg), (picture.lat_deg, picture.lon_deg)),
        values,
        reasons,
    )


def drawn(model: GeoModel, tensor: Tensor, traced: Trace, method: str, seed: Sequence[int]) -> Heatmap:
    """The heatmap of a name out of EXPLANATIONS, for the traced cell."""
    row = kind_of(method) if method in of_family(BASELINE) else candidate_of(model, method)
    return row.draw(Subject(model, tensor, traced, seed))


def explained(model: GeoModel, target: Explained, method: str, seed: Sequence[int], tensor: Tensor) -> Heatmap:
    """The same of another image, for one cell. A random map is drawn anew: it has nothing to be coherent with."""
    return drawn(model, tensor, trace(model, tensor, target, "probability"), method, seed)


def rounded(one: Measure) -> float | None:
    """A measure's value to MEASURE_DIGITS decimals."""
    return None if one.value is None else round(one.value, MEASURE_DIGITS)


def rows_of(columns: Sequence[str], answer: ImageMeasures) -> Iterator[Sequence[Any]]:
    """An answer's rows in the table: one per method, or one that says why there is none."""
    image = [getattr(answer, name) for name in ABOUT]
    if answer.status != "ok":
        yield [*image, None, *(None for _ in columns), answer.reason]
    for method, values in answer.values.items():
        why = "; ".join(f"{name}: {reason}" for name, reason in answer.reasons.get(method, {}).items())
        yield [*image, method, *(values[name] for name in columns), why or None]
