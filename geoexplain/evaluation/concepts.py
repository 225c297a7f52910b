"""Concept influence over a set of images: on what every explanation lies, by the error of the prediction, resumable."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from geoexplain.errors import DataError
from geoexplain.evaluation.asking import Crew, ask, kept, unanswered
from geoexplain.evaluation.concept_sources import ConceptSource, FromAbove, present
from geoexplain.evaluation.explanations import DEFAULT_EXPLANATIONS
from geoexplain.evaluation.photos import DEGREE_DIGITS, SHARE_DIGITS, error_km
from geoexplain.evaluation.pictures import Picture, Source
from geoexplain.evaluation.record import Kind
from geoexplain.explainer.attribution import SAMPLES, STEPS
from geoexplain.explainer.concepts import (
    LARGEST_DILATION_PX,
    SMALLEST_SHARE,
    TOP_K,
    ConceptInfluence,
    concept_influence,
    dilated,
)
from geoexplain.explainer.subject import Subject
from geoexplain.explainer.table import EXPLANATIONS as ROWS
from geoexplain.explainer.table import draw
from geoexplain.explainer.trace import trace
from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import predict
from geoexplain.locator.tuned import StageWeights

FORMAT = "geoexplain-concepts/1"

METHODS = tuple(ROWS)
"""Every explanation and baseline whose influence can be told."""

DEFAULT_METHODS = DEFAULT_EXPLANATIONS
"""Those from one pass of the network, and baselines."""

DIGITS = 9
"""Decimals kept of a share, of a tki and of a ci."""

ABOUT = (
    "id",
    "file",
    "status",
    "lat_deg",
    "lon_deg",
    "predicted_lat_deg",
    "predicted_lon_deg",
    "error_km",
    "cell",
    "label",
    "probability",
)
"""What the table says of an image, whatever the method."""

COLUMNS = (*ABOUT, "method", "concept", "share", "tki", "ci", "ignored", "reason")


@dataclass(frozen=True)
class Study:
    """What is looked at.

    concepts        who says what an image shows
    methods         names out of METHODS
    k               how many of the strongest pixels
    smallest_share  a concept that covers less of an image, after dilation, is ignored there; 0 to 1
    dilation_px     pixels that every mask grows by beforehand, 0 to LARGEST_DILATION_PX
    steps, samples  of the attributions; see integrated_gradients() and smoothgrad_squared()
    seed            of random maps and of the attributions' noise, together with an image's index
    tuned           what "combi-cam-tuned" is, if it is among the methods: the model's own

    Raises DataError for other names, none at all, or a setting out of its range.
    """

    concepts: ConceptSource = field(default_factory=FromAbove)
    methods: tuple[str, ...] = DEFAULT_METHODS
    k: int = TOP_K
    smallest_share: float = SMALLEST_SHARE
    dilation_px: int = 0
    steps: int = STEPS
    samples: int = SAMPLES
    seed: int = 0
    tuned: StageWeights | None = None

    def __post_init__(self) -> None:
        if not self.methods or not set(self.methods) <= set(METHODS):
            raise DataError(f"expected methods out of {', '.join(METHODS)}, got {', '.join(self.methods) or 'none'}.")
        fits = 0 <= self.smallest_share <= 1 and 0 <= self.dilation_px <= LARGEST_DILATION_PX
        if not fits or min(self.k, self.steps, self.samples) < 1:
            raise DataError(
                f"expected k, steps and samples of at least 1, a smallest share from 0 to 1 and a dilation from 0 to "
                f"{LARGEST_DILATION_PX} px, got {self.k}, {self.steps}, {self.samples}, {self.smallest_share} and "
                f"{self.dilation_px}."
            )

    @property
    def format(self) -> str:
        """Name and version of the files."""
        return FORMAT

    def settings(self) -> dict[str, Any]:
        """Everything in it that decides the answers, as plain data."""
        found = {
            **self.concepts.settings(),
            "methods": list(self.methods),
            "k": self.k,
            "smallest_share": self.smallest_share,
            "dilation_px": self.dilation_px,
            "steps": self.steps,
            "samples": self.samples,
            "seed": self.seed,
        }
        return found if self.tuned is None else {**found, "tuned": asdict(self.tuned)}

    def kind(self) -> "Kind[ImageConcepts]":
        """How answers are kept: in the table, one row per image, method and concept that is in the image."""
        return kept(ImageConcepts, COLUMNS, rows_of, read_answer)

    def answer(self, model: GeoModel, picture: Picture) -> "ImageConcepts":
        """One image's answer: its most probable cell explained in every way, and what lies under the explanations."""
        if picture.tensor is None:
            return self.failed(picture, picture.reason or "", unreadable=True)
        tensor = picture.tensor.to(model.device)
        traced = trace(model, tensor, None, "probability")
        found = predict(model, traced.logits, statistics=traced.statistics)
        point = found.lat_deg, found.lon_deg
        masks = {
            concept: dilated(mask, self.dilation_px)
            for concept, mask in present(self.concepts.masks(model.preprocess, picture, point)).items()
        }
        concepts, tied = {}, {}
        for method in self.methods:
            subject = Subject(model, tensor, traced, (self.seed, picture.index, 0), self.steps, self.samples)
            influence = concept_influence(
                draw(method, subject).values, masks, k=self.k, smallest_share=self.smallest_share
            )
            concepts[method] = tuple(rounded(one) for one in influence.concepts)
            tied[method] = influence.tied
        return ImageConcepts(
            picture.id,
            picture.file,
            "ok",
            round(picture.lat_deg, DEGREE_DIGITS),
            round(picture.lon_deg, DEGREE_DIGITS),
            round(found.lat_deg, DEGREE_DIGITS),
            round(found.lon_deg, DEGREE_DIGITS),
            error_km(point, (picture.lat_deg, picture.lon_deg)),
            traced.target,
            model.partition.labels[traced.target],
            round(float(found.probabilities[traced.target]), SHARE_DIGITS),
            concepts,
            tied,
        )

    def failed(self, picture: Picture, reason: str, *, unreadable: bool) -> "ImageConcepts":
        """The answer about an image that has none."""
        return unanswered(ImageConcepts, picture, reason, unreadable=unreadable)


@dataclass(frozen=True)
class ImageConcepts:
    """All that is found of one image; None where there is nothing to say.

    id, file            of the image, as its source names it
    status              "ok", "unreadable", "failed" (it could be read, but not examined) or "missing"
    lat_deg, lon_deg    its true place
    predicted_…         the predicted point
    error_km            great-circle distance of the predicted point from the truth
    cell, label         the explained cell, which is the most probable one, and its name
    probability         of that cell, in [0, 1]
    concepts            method → its influence on each concept that is in the image
    tied                method → how many of the strongest pixels were chosen among equally strong ones, by their place
    reason              why the image could not be read or examined
    """

    id: str
    file: str | None = None
    status: str = "missing"
    lat_deg: float | None = None
    lon_deg: float | None = None
    predicted_lat_deg: float | None = None
    predicted_lon_deg: float | None = None
    error_km: float | None = None
    cell: int | None = None
    label: str | None = None
    probability: float | None = None
    concepts: dict[str, tuple[ConceptInfluence, ...]] = field(default_factory=dict)
    tied: dict[str, int] = field(default_factory=dict)
    reason: str | None = None


def evaluate_concepts(
    model: GeoModel,
    source: Source,
    study: Study,
    out: Path,
    *,
    crew: Crew | None = None,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[ImageConcepts, ...]:
    """Find on what every explanation of every image of a source lies; return all answers in its order.

    See `ask`: resumable, and with a `crew` on several processes or a cluster. Raises DataError as it does, and for a
    k of more pixels than the network's images have.
    """
    pixels = model.preprocess.size_px**2
    if study.k > pixels:
        raise DataError(f"expected k from 1 to {pixels:,}, the pixels that the network sees, got {study.k:,}.")
    return ask(study, model, source, out, crew=crew, resume=resume, progress=progress)


def rounded(one: ConceptInfluence) -> ConceptInfluence:
    """The same to DIGITS decimals."""
    tki, ci = (None if value is None else round(value, DIGITS) for value in (one.tki, one.ci))
    return ConceptInfluence(one.concept, round(one.share, DIGITS), tki, ci, one.ignored)


def read_answer(data: dict[str, Any]) -> ImageConcepts:
    """An answer from its plain data."""
    concepts = {method: tuple(ConceptInfluence(**one) for one in ones) for method, ones in data["concepts"].items()}
    return ImageConcepts(**{**data, "concepts": concepts})


def rows_of(answer: ImageConcepts) -> Iterator[Sequence[Any]]:
    """An answer's rows in the table: one per method and concept, or one that says why there is none."""
    image = [getattr(answer, name) for name in ABOUT]
    if not any(answer.concepts.values()):
        reason = "no concept in the image" if answer.status == "ok" else answer.reason
        yield [*image, *(None for _ in COLUMNS[len(ABOUT) : -1]), reason]
    for method, concepts in answer.concepts.items():
        for one in concepts:
            yield [*image, method, one.concept, one.share, one.tki, one.ci, one.ignored or None, None]
