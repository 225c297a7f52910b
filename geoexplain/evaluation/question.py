"""The base class of questions about explanations, each answered for every image of a set."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.evaluation.photos import DEGREE_DIGITS, SHARE_DIGITS, error_km
from geoexplain.evaluation.pictures import Picture
from geoexplain.evaluation.record import NO_FILE, Kind
from geoexplain.explainer.trace import Trace, trace
from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import Prediction, predict
from geoexplain.locator.tuned import StageWeights

LEFT_OUT = ("unreadable", "failed", "missing")
"""Statuses of images that no mean includes."""

PLACE = ("id", "file", "status", "lat_deg", "lon_deg")
POINT = ("predicted_lat_deg", "predicted_lon_deg")
CELL = ("cell", "label", "probability")
ERROR = ("error_km",)
"""Facts about an image that a question may record, besides its results."""


@dataclass(frozen=True)
class ImageAnswer:
    """The record of one image that every question has, None for unknown values. Subclasses add their results.

    id, file          name and file of the image, from its source
    status            "ok", "unreadable", "failed" (read, but not examined) or "missing"
    lat_deg, lon_deg  its true position
    cell, label       the explained cell, which is the top cell, and its label
    probability       probability of that cell, in [0, 1]
    reason            the reason why the image could not be read or examined
    """

    id: str
    file: str | None = None
    status: str = "missing"
    _: KW_ONLY
    lat_deg: float | None = None
    lon_deg: float | None = None
    cell: int | None = None
    label: str | None = None
    probability: float | None = None
    reason: str | None = None


@dataclass(frozen=True, eq=False)
class TracedImage:
    """An image on the model's device, ready to be examined.

    picture     the image as its source describes it
    tensor      the normalised image (1, 3, H, W)
    trace       its trace for the probability of the top cell
    prediction  the model's prediction
    """

    picture: Picture
    tensor: Tensor
    trace: Trace
    prediction: Prediction


Answer = TypeVar("Answer", bound=ImageAnswer)
Findings = TypeVar("Findings")


@dataclass(frozen=True, kw_only=True)
class Question(ABC, Generic[Answer, Findings]):
    """A question answered for every image of a set, and the statistics of the answers. Plain data: workers receive it.

    methods  the examined methods, names out of known_methods()
    seed     seeds everything random, together with an image's index
    tuned    the model's own weights, if "combi-cam-tuned" is among the methods

    A subclass adds its settings as fields, describes its files by the class variables below, and implements the
    abstract methods. Raises DataError for unknown methods, or none.
    """

    FORMAT: ClassVar[str]
    """Name and version of the files that are written."""
    ANSWER: ClassVar[type[ImageAnswer]]
    ABOUT: ClassVar[tuple[str, ...]]
    """Columns of the table about the image, the same for every method: facts out of PLACE, POINT, CELL and ERROR."""
    NOTHING_FOUND: ClassVar[str | None] = None
    """The reason in the table for an image that was examined but has no row."""
    PLOT: ClassVar[str]
    """File name of the plot."""

    methods: tuple[str, ...] = ()
    seed: int = 0
    tuned: StageWeights | None = None

    def __post_init__(self) -> None:
        check_names("methods", self.methods, self.known_methods())

    @classmethod
    @abstractmethod
    def known_methods(cls) -> tuple[str, ...]:
        """Return every name that `methods` may hold, in the order of the tables."""

    @abstractmethod
    def own_settings(self) -> dict[str, Any]:
        """Return the settings of the subclass that affect the answers, as plain data."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Columns of the table for the results of one method."""

    @abstractmethod
    def examine(self, model: GeoModel, image: TracedImage) -> dict[str, Any]:
        """Examine one image, independently of others; return fields of ANSWER."""

    @abstractmethod
    def method_rows(self, answer: Answer) -> Iterable[Sequence[Any]]:
        """Return the table's rows for an answer with status "ok": method, `columns`, and a reason or None."""

    @abstractmethod
    def findings(self, answers: Sequence[Answer]) -> Findings:
        """Compute the result over all images, leaving out those that could not be examined."""

    @abstractmethod
    def figures(self, answers: Sequence[Answer], findings: Findings) -> dict[str, Any]:
        """Return the findings as plain data for JSON; NaN becomes None."""

    @abstractmethod
    def plot(self, findings: Findings, title: str, file: Path) -> None:
        """Plot the findings to a PNG file."""

    def check(self, model: GeoModel) -> None:
        """Raise DataError if the question does not apply to a model."""

    def settings(self) -> dict[str, Any]:
        """Return all settings that affect the answers, as plain data."""
        settings = {"methods": list(self.methods), **self.own_settings(), "seed": self.seed}
        return settings if self.tuned is None else {**settings, "tuned": asdict(self.tuned)}

    def answer(self, model: GeoModel, picture: Picture) -> Answer:
        """Trace one image for its top cell and examine it; return the answer."""
        if picture.tensor is None:
            return self.failed(picture, picture.reason or "", unreadable=True)
        tensor = picture.tensor.to(model.device)
        traced = trace(model, tensor, None, "probability")
        prediction = predict(model, traced.logits, statistics=traced.statistics)
        point = prediction.lat_deg, prediction.lon_deg
        facts = {
            "id": picture.id,
            "file": picture.file,
            "status": "ok",
            "lat_deg": round(picture.lat_deg, DEGREE_DIGITS),
            "lon_deg": round(picture.lon_deg, DEGREE_DIGITS),
            "predicted_lat_deg": round(point[0], DEGREE_DIGITS),
            "predicted_lon_deg": round(point[1], DEGREE_DIGITS),
            "error_km": error_km(point, (picture.lat_deg, picture.lon_deg)),
            "cell": traced.target,
            "label": model.partition.labels[traced.target],
            "probability": round(float(prediction.probabilities[traced.target]), SHARE_DIGITS),
        }
        recorded = {name: facts[name] for name in self.ABOUT}
        return self._make(**(recorded | self.examine(model, TracedImage(picture, tensor, traced, prediction))))

    def failed(self, picture: Picture, reason: str, *, unreadable: bool) -> Answer:
        """Return the answer for an image that could not be read (`unreadable`) or examined."""
        return self._make(
            id=picture.id,
            file=picture.file,
            status="unreadable" if unreadable else "failed",
            lat_deg=picture.lat_deg,
            lon_deg=picture.lon_deg,
            reason=reason,
        )

    def kind(self) -> Kind[Answer]:
        """Return how answers are recorded. A resumed evaluation examines images with status "failed" again."""
        return Kind(
            columns=(*self.ABOUT, "method", *self.columns, "reason"),
            rows=self.rows,
            plain=self.plain,
            read=self.read,
            missing=lambda name: self._make(id=name, reason=NO_FILE),
            retry=lambda answer: answer.status == "failed",
        )

    def rows(self, answer: Answer) -> Iterator[Sequence[Any]]:
        """Yield an answer's rows in the table, or one row with the reason why there is none."""
        image = [getattr(answer, name) for name in self.ABOUT]
        rows = list(self.method_rows(answer)) if answer.status == "ok" else []
        if not rows:
            reason = self.NOTHING_FOUND if answer.status == "ok" else answer.reason
            rows = [[None, *(None for _ in self.columns), reason]]
        yield from ([*image, *row] for row in rows)

    def plain(self, answer: Answer) -> dict[str, Any]:
        """Return an answer as data for JSON: the facts about the image first, the reason last."""
        data = asdict(answer)
        reason = data.pop("reason")
        return {name: data.pop(name) for name in self.ABOUT} | data | {"reason": reason}

    def read(self, data: dict[str, Any]) -> Answer:
        """Return an answer from the output of `plain`. Raises TypeError or KeyError for other data."""
        return self._make(**data)

    def summary(self, answers: Sequence[Answer], findings: Findings, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings, counts, the images left out, and the figures, as plain data for JSON."""
        left = {status: [one for one in answers if one.status == status] for status in LEFT_OUT}
        return {
            "settings": dict(settings),
            "counts": {"evaluated": len(examined_answers(answers))}
            | {status: len(ones) for status, ones in left.items()},
            **{
                status: [{"id": one.id, "file": one.file, "reason": one.reason} for one in ones]
                for status, ones in left.items()
            },
            **self.figures(answers, findings),
        }

    def _make(self, **fields: Any) -> Answer:
        return self.ANSWER(**fields)  # type: ignore[return-value]  # a class variable cannot hold a type variable


def examined_answers(answers: Sequence[Answer]) -> list[Answer]:
    """Return the answers for images that could be examined."""
    return [answer for answer in answers if answer.status == "ok"]


def check_names(what: str, names: Sequence[str], known: Iterable[str]) -> None:
    """Raise DataError for unknown names, or none."""
    known = tuple(known)
    if not names or not set(names) <= set(known):
        raise DataError(f"expected {what} out of {', '.join(known)}, got {', '.join(names) or 'none'}.")
