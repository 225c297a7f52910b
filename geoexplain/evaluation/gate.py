"""How well a model's gate tells its own kind of image from others, and what is called localizable all the same."""

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
    """What a model says of N images of one kind.

    scores       float64 (N,), how sure the gate is, in [0, 1], that they are of the model's kind
    in_domain    bool (N,), whether it lets them pass
    localizable  bool (N,), whether the model says that it can place them
    density      float64 (N,), prediction density at the model's scale
    """

    scores: NDArray[np.float64]
    in_domain: NDArray[np.bool_]
    localizable: NDArray[np.bool_]
    density: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.scores)


def pictures_by_kind(folders: Sequence[Path], suffixes: Sequence[str]) -> dict[str, list[Path]]:
    """The pictures in some folders, by the name of the folder that holds them. Raises DataError for none.

    A picture counts once, also where it lies below two of the folders.
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
    """The answers of a model about pictures in files, and the files that cannot be read.

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
    """The gate's part of N predictions of a model. Raises DataError for a model without a gate."""
    check_gate(model)
    return GateAnswers(
        np.array([found.domain_score for found in predictions], dtype=np.float64),
        np.array([found.in_domain for found in predictions], dtype=bool),
        np.array([found.localizable for found in predictions], dtype=bool),
        np.array([found.density for found in predictions], dtype=np.float64),
    )


def merge_answers(parts: Iterable[GateAnswers]) -> GateAnswers:
    """The answers of several kinds of image as one."""
    columns = [(part.scores, part.in_domain, part.localizable, part.density) for part in parts]
    return GateAnswers(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def gate_area(own: Mapping[str, GateAnswers], others: Mapping[str, GateAnswers]) -> float:
    """Area under the receiver operating characteristic, in [0, 1], of images of the model's kind against all others.

    NaN when there are none of either.
    """
    positive = np.concatenate([part.scores for part in own.values()] or [np.empty(0)])
    negative = np.concatenate([part.scores for part in others.values()] or [np.empty(0)])
    if not len(positive) or not len(negative):
        return float("nan")
    truth = np.arange(len(positive) + len(negative)) < len(positive)
    return float(roc_auc_score(truth, np.concatenate([positive, negative])))
