"""What is asked of every image of a set: the frame that all questions about explanations share."""

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
"""The statuses of images that are in no mean."""

PLACE = ("id", "file", "status", "lat_deg", "lon_deg")
POINT = ("predicted_lat_deg", "predicted_lon_deg")
CELL = ("cell", "label", "probability")
ERROR = ("error_km",)
"""Facts about an image that a question may record, besides what it finds."""


@dataclass(frozen=True)
class ImageAnswer:
    """What every question records of an image; None where there is nothing to say. Subclasses add what they find.

    id, file          of the image, as its source names it
    status            "ok", "unreadable", "failed" (it could be read, but not examined) or "missing"
    lat_deg, lon_deg  its true position
    cell, label       the explained cell, which is the most probable one, and its name
    probability       of that cell, in [0, 1]
    reason            why the image could not be read or examined
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

    picture     what its source says of it
    tensor      the normalised image (1, 3, H, W)
    trace       of the probability of its most probable cell
    prediction  where the model places it
    """

    picture: Picture
    tensor: Tensor
    trace: Trace
    prediction: Prediction


Answer = TypeVar("Answer", bound=ImageAnswer)
Findings = TypeVar("Findings")


@dataclass(frozen=True, kw_only=True)
class Question(ABC, Generic[Answer, Findings]):
    """What is asked of every image of a set, and what is made of the answers; plain data, since it travels to workers.

    methods  what is examined, names out of known_methods()
    seed     of everything random, together with an image's index
    tuned    what "combi-cam-tuned" is, if it is among the methods: the model's own weights

    A subclass has settings of its own as further fields, describes its files by the class variables below, and
    implements the abstract methods. Raises DataError for other methods, or none.
    """

    FORMAT: ClassVar[str]
    """Name and version of the files that are written."""
    ANSWER: ClassVar[type[ImageAnswer]]
    ABOUT: ClassVar[tuple[str, ...]]
    """What the table says of an image, whatever the method: facts out of PLACE, POINT, CELL and ERROR."""
    NOTHING_FOUND: ClassVar[str | None] = None
    """The reason in the table for an image that could be examined, and has no row."""
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
        """Every name that `methods` may hold, in the order of the tables."""

    @abstractmethod
    def own_settings(self) -> dict[str, Any]:
        """The settings of the subclass that decide the answers, as plain data."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Columns of the table for what is found of one method."""

    @abstractmethod
    def examine(self, model: GeoModel, image: TracedImage) -> dict[str, Any]:
        """What is found of one image, as fields of ANSWER; does not depend on other images."""

    @abstractmethod
    def method_rows(self, answer: Answer) -> Iterable[Sequence[Any]]:
        """Rows of the table of an answer that has status "ok": method, `columns`, and a reason or None."""

    @abstractmethod
    def findings(self, answers: Sequence[Answer]) -> Findings:
        """What is found over all images; those that could not be examined do not count."""

    @abstractmethod
    def figures(self, answers: Sequence[Answer], findings: Findings) -> dict[str, Any]:
        """The findings as plain data for JSON; what is NaN is None."""

    @abstractmethod
    def plot(self, findings: Findings, title: str, file: Path) -> None:
        """Write the findings as a PNG file."""

    def check(self, model: GeoModel) -> None:
        """Raise DataError if the question cannot be asked of a model."""

    def settings(self) -> dict[str, Any]:
        """Everything in it that decides the answers, as plain data."""
        found = {"methods": list(self.methods), **self.own_settings(), "seed": self.seed}
        return found if self.tuned is None else {**found, "tuned": asdict(self.tuned)}

    def answer(self, model: GeoModel, picture: Picture) -> Answer:
        """The answer about one image: its most probable cell explained by every method, and what is found of that."""
        if picture.tensor is None:
            return self.failed(picture, picture.reason or "", unreadable=True)
        tensor = picture.tensor.to(model.device)
        traced = trace(model, tensor, None, "probability")
        found = predict(model, traced.logits, statistics=traced.statistics)
        point = found.lat_deg, found.lon_deg
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
            "probability": round(float(found.probabilities[traced.target]), SHARE_DIGITS),
        }
        recorded = {name: facts[name] for name in self.ABOUT}
        return self._make(**(recorded | self.examine(model, TracedImage(picture, tensor, traced, found))))

    def failed(self, picture: Picture, reason: str, *, unreadable: bool) -> Answer:
        """The answer about an image that cannot be read (`unreadable`), or else broke the examination."""
        return self._make(
            id=picture.id,
            file=picture.file,
            status="unreadable" if unreadable else "failed",
            lat_deg=picture.lat_deg,
            lon_deg=picture.lon_deg,
            reason=reason,
        )

    def kind(self) -> Kind[Answer]:
        """How answers are recorded. A resumed run examines those of status "failed" again."""
        return Kind(
            columns=(*self.ABOUT, "method", *self.columns, "reason"),
            rows=self.rows,
            plain=self.plain,
            read=self.read,
            missing=lambda name: self._make(id=name, reason=NO_FILE),
            retry=lambda answer: answer.status == "failed",
        )

    def rows(self, answer: Answer) -> Iterator[Sequence[Any]]:
        """An answer's rows in the table, or one that says why there is none."""
        image = [getattr(answer, name) for name in self.ABOUT]
        found = list(self.method_rows(answer)) if answer.status == "ok" else []
        if not found:
            reason = self.NOTHING_FOUND if answer.status == "ok" else answer.reason
            found = [[None, *(None for _ in self.columns), reason]]
        yield from ([*image, *row] for row in found)

    def plain(self, answer: Answer) -> dict[str, Any]:
        """An answer as data for JSON: what is known of the image first, and the reason last."""
        data = asdict(answer)
        reason = data.pop("reason")
        return {name: data.pop(name) for name in self.ABOUT} | data | {"reason": reason}

    def read(self, data: dict[str, Any]) -> Answer:
        """An answer from what `plain` gives. Raises TypeError or KeyError for other data."""
        return self._make(**data)

    def summary(self, answers: Sequence[Answer], findings: Findings, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of the record, counts, the images left out, and the figures, as plain data for JSON."""
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
    """The answers about images that could be examined."""
    return [answer for answer in answers if answer.status == "ok"]


def check_names(what: str, names: Sequence[str], known: Iterable[str]) -> None:
    """Raise DataError unless there are names, all of them known."""
    known = tuple(known)
    if not names or not set(names) <= set(known):
        raise DataError(f"expected {what} out of {', '.join(known)}, got {', '.join(names) or 'none'}.")
