"""Evaluate a gate: how well it separates the model's kind of image from others, and which are localizable."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from geoexplain.errors import DataError, ImageError
from geoexplain.explainer.explanation import locate
from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import Prediction


@dataclass(frozen=True, eq=False)
class GateAnswers:
    """A gate's answers for N images of one kind.

    scores       float64 (N,), the gate's scores in [0, 1]; high for the model's kind of image
    in_domain    bool (N,), whether they pass the gate
    localizable  bool (N,), whether they are localizable
    density      float64 (N,), prediction density at the model's scale
    """

    scores: NDArray[np.float64]
    in_domain: NDArray[np.bool_]
    localizable: NDArray[np.bool_]
    density: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.scores)


def pictures_by_kind(folders: Sequence[Path], suffixes: Sequence[str]) -> dict[str, list[Path]]:
    """List the pictures below some folders, by the name of the folder that holds them. Raises DataError for none.

    A picture counts once, even if it lies below two of the folders.
    """
    kinds: dict[str, list[Path]] = defaultdict(list)
    for file in sorted({file for folder in folders for file in folder.rglob("*")}):
        if file.suffix.lower() in suffixes and file.is_file():
            kinds[file.parent.name].append(file)
    if not kinds:
        raise DataError(f"expected pictures in {', '.join(map(str, folders))}, found none: name other folders.")
    return dict(kinds)


def check_gate(model: GeoModel) -> None:
    """Raise DataError for a model without a gate."""
    if model.gate is None:
        raise DataError(f"model {model.name}: expected a model with a gate, got one without. {model.ungated}".strip())


def ask_gate(
    model: GeoModel, files: Sequence[Path], progress: Callable[[int, int], None] | None = None
) -> tuple[GateAnswers, list[Path]]:
    """Return the gate's answers for picture files, and the files that cannot be read.

    Raises DataError for a model without a gate.
    """
    check_gate(model)
    predictions, unread = [], []
    for number, file in enumerate(files, 1):
        try:
            predictions.append(locate(file, model))
        except ImageError:
            unread.append(file)
        if progress is not None:
            progress(number, len(files))
    return gate_answers(model, predictions), unread


def gate_answers(model: GeoModel, predictions: Sequence[Prediction]) -> GateAnswers:
    """Return the gate's answers in N predictions of a model. Raises DataError for a model without a gate."""
    check_gate(model)
    return GateAnswers(
        np.array([one.domain_score for one in predictions], dtype=np.float64),
        np.array([one.in_domain for one in predictions], dtype=bool),
        np.array([one.localizable for one in predictions], dtype=bool),
        np.array([one.density for one in predictions], dtype=np.float64),
    )


def merge_answers(parts: Iterable[GateAnswers]) -> GateAnswers:
    """Concatenate the answers for several kinds of image."""
    columns = [(part.scores, part.in_domain, part.localizable, part.density) for part in parts]
    return GateAnswers(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def gate_area(own: Mapping[str, GateAnswers], others: Mapping[str, GateAnswers]) -> float:
    """Compute the area under the receiver operating characteristic, in [0, 1], of the model's kind against all others.

    It is NaN if there are no images on one side.
    """
    positive = np.concatenate([part.scores for part in own.values()] or [np.empty(0)])
    negative = np.concatenate([part.scores for part in others.values()] or [np.empty(0)])
    if not len(positive) or not len(negative):
        return float("nan")
    truth = np.arange(len(positive) + len(negative)) < len(positive)
    return float(roc_auc_score(truth, np.concatenate([positive, negative])))
