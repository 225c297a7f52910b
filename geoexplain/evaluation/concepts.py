"""Concept influence over a set of images: the concepts under every explanation, by the error of the prediction."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.evaluation.concept_sources import ConceptSource, LandCoverMasks, without_empty
from geoexplain.evaluation.figures import or_none
from geoexplain.evaluation.methods import (
    concept_methods,
    default_faithfulness_methods,
    draw,
)
from geoexplain.evaluation.plot import plot_concepts
from geoexplain.evaluation.question import (
    CELL,
    ERROR,
    PLACE,
    POINT,
    ImageAnswer,
    Question,
    TracedImage,
    examined_answers,
)
from geoexplain.explainer.attribution import SAMPLES, STEPS
from geoexplain.explainer.concepts import (
    ERROR_BINS_KM,
    LARGEST_DILATION_PX,
    SMALLEST_COUNT,
    SMALLEST_SHARE,
    TOP_K,
    ConceptInfluence,
    ConceptRow,
    ConceptTable,
    Estimate,
    concept_influence,
    concept_table,
    dilate,
)
from geoexplain.explainer.intervals import CONFIDENCE
from geoexplain.locator.model import GeoModel

DIGITS = 9
"""Decimals kept of a share, of a tki and of a ci."""

RESAMPLES = 2000


@dataclass(frozen=True)
class ImageConcepts(ImageAnswer):
    """The concept influence in one image.

    predicted_…  the predicted point
    error_km     great-circle distance of the predicted point from the true position
    concepts     method → its influence on each concept that is in the image
    tied         method → number of the strongest pixels that were chosen by position among equally strong ones
    """

    predicted_lat_deg: float | None = None
    predicted_lon_deg: float | None = None
    error_km: float | None = None
    concepts: dict[str, tuple[ConceptInfluence, ...]] = field(default_factory=dict)
    tied: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Study(Question[ImageConcepts, dict[str, ConceptTable]]):
    """The question of concept influence: the concepts under the strongest pixels of every explanation.

    concepts        source of the concepts in an image
    k               number of the strongest pixels
    smallest_share  a concept that covers less of an image, after dilation, is ignored there; 0 to 1
    dilation_px     pixels that every mask grows by beforehand, 0 to LARGEST_DILATION_PX
    steps, samples  settings of attributions; see integrated_gradients() and smoothgrad_squared()
    bins_km         (low, high) of the prediction's error, one column of the tables each; does not affect answers
    smallest_count  fewest images with a concept for a figure in a bin; does not affect answers

    Raises DataError for unknown or no methods, or a setting out of its range.
    """

    FORMAT = "geoexplain-concepts/1"
    ANSWER = ImageConcepts
    ABOUT = (*PLACE, *POINT, *ERROR, *CELL)
    NOTHING_FOUND = "no concept in the image"
    PLOT = "influence-by-concept.png"

    methods: tuple[str, ...] = field(default_factory=default_faithfulness_methods)
    concepts: ConceptSource = field(default_factory=LandCoverMasks)
    k: int = TOP_K
    smallest_share: float = SMALLEST_SHARE
    dilation_px: int = 0
    steps: int = STEPS
    samples: int = SAMPLES
    bins_km: tuple[tuple[float, float], ...] = ERROR_BINS_KM
    smallest_count: int = SMALLEST_COUNT

    def __post_init__(self) -> None:
        super().__post_init__()
        fits = 0 <= self.smallest_share <= 1 and 0 <= self.dilation_px <= LARGEST_DILATION_PX
        if not fits or min(self.k, self.steps, self.samples) < 1:
            raise DataError(
                f"expected k, steps and samples of at least 1, a smallest share from 0 to 1 and a dilation from 0 to "
                f"{LARGEST_DILATION_PX} px, got {self.k}, {self.steps}, {self.samples}, {self.smallest_share} and "
                f"{self.dilation_px}."
            )

    @classmethod
    def known_methods(cls) -> tuple[str, ...]:
        """See Question."""
        return concept_methods()

    @property
    def columns(self) -> tuple[str, ...]:
        """See Question."""
        return ("concept", "share", "tki", "ci", "ignored")

    def check(self, model: GeoModel) -> None:
        """Raise DataError if k exceeds the pixels of the network's input."""
        pixels = model.preprocess.size_px**2
        if self.k > pixels:
            raise DataError(f"expected k from 1 to {pixels:,}, the pixels that the network sees, got {self.k:,}.")

    def settings(self) -> dict[str, Any]:
        """See Question."""
        return {**self.concepts.settings(), **super().settings()}

    def own_settings(self) -> dict[str, Any]:
        """See Question."""
        names = ("k", "smallest_share", "dilation_px", "steps", "samples")
        return {name: getattr(self, name) for name in names}

    def examine(self, model: GeoModel, image: TracedImage) -> dict[str, Any]:
        """Measure the influence of the image's concepts on every explanation; see Question."""
        point = image.prediction.lat_deg, image.prediction.lon_deg
        masks = {
            concept: dilate(mask, self.dilation_px)
            for concept, mask in without_empty(self.concepts.masks(model.preprocess, image.picture, point)).items()
        }
        influences = {
            method: concept_influence(
                self.values(model, image, method), masks, k=self.k, smallest_share=self.smallest_share
            )
            for method in self.methods
        }
        return {
            "concepts": {
                method: tuple(rounded_influence(one) for one in each.concepts) for method, each in influences.items()
            },
            "tied": {method: each.tied for method, each in influences.items()},
        }

    def values(self, model: GeoModel, image: TracedImage, method: str) -> NDArray[np.float32]:
        """Return the values (H, W) of an explanation."""
        seed = (self.seed, image.picture.index, 0)
        return draw(model, image.tensor, image.trace, method, seed, steps=self.steps, samples=self.samples).values

    def method_rows(self, answer: ImageConcepts) -> Iterator[Sequence[Any]]:
        """Yield one row per method and concept in the image; see Question."""
        for method, concepts in answer.concepts.items():
            for one in concepts:
                yield [method, one.concept, one.share, one.tki, one.ci, one.ignored or None, None]

    def read(self, data: dict[str, Any]) -> ImageConcepts:
        """See Question."""
        concepts = {method: tuple(ConceptInfluence(**one) for one in ones) for method, ones in data["concepts"].items()}
        return super().read({**data, "concepts": concepts})

    def findings(self, answers: Sequence[ImageConcepts]) -> dict[str, ConceptTable]:
        """Return method → concepts × bins of the error; see Question. Raises DataError as concept_table() does."""
        seen = [answer for answer in examined_answers(answers) if answer.error_km is not None]
        return {
            method: concept_table(
                [(answer.error_km or 0.0, answer.concepts[method]) for answer in seen],
                bins_km=self.bins_km,
                smallest_count=self.smallest_count,
                resamples=RESAMPLES,
                confidence=CONFIDENCE,
            )
            for method in self.methods
        }

    def figures(self, answers: Sequence[ImageConcepts], findings: dict[str, ConceptTable]) -> dict[str, Any]:
        """See Question."""
        seen, first = examined_answers(answers), next(iter(findings.values()))
        interval = {"confidence": CONFIDENCE, "resamples": RESAMPLES, "method": "percentile bootstrap over images"}
        return {
            "interval": interval,
            "smallest_count": self.smallest_count,
            "bins_km": [list(one) for one in self.bins_km],
            "images_by_bin": list(first.images),
            "images_in_no_bin": first.outside,
            "methods": {
                method: {
                    "flat": sum(bool(one.concepts[method]) and one.concepts[method][0].tki is None for one in seen),
                    "tied": sum(one.tied[method] > 0 for one in seen),
                    "concepts": {
                        concept: [row_record(row) for row in rows]
                        for concept, rows in groupby(table.rows, key=lambda row: row.concept)
                    },
                }
                for method, table in findings.items()
            },
        }

    def plot(self, findings: dict[str, ConceptTable], title: str, file: Path) -> None:
        """See Question."""
        plot_concepts(findings, title, file)


def rounded_influence(one: ConceptInfluence) -> ConceptInfluence:
    """Round a concept influence to DIGITS decimals."""
    tki, ci = (None if value is None else round(value, DIGITS) for value in (one.tki, one.ci))
    return ConceptInfluence(one.concept, round(one.share, DIGITS), tki, ci, one.ignored)


def row_record(row: ConceptRow) -> dict[str, Any]:
    """Return a concept in a bin as plain data for JSON."""
    return {
        "low_km": row.low_km,
        "high_km": row.high_km,
        "images": row.images,
        "median": estimate_record(row.median),
        "mean": estimate_record(row.mean),
    }


def estimate_record(estimate: Estimate | None) -> dict[str, float | None] | None:
    """Return an estimate as plain data for JSON."""
    if estimate is None:
        return None
    return {"value": estimate.value, "low": or_none(estimate.low), "high": or_none(estimate.high)}
