"""Weights of Combi-CAM for the image on the page: what the search found, and what it is better than."""

from typing import Any

from PIL import Image

from geoexplain.errors import DataError
from geoexplain.explainer.objectives import OBJECTIVES
from geoexplain.explainer.target import Explained
from geoexplain.explainer.tuning import Setting, checked_choices, prepare, tune, value_of
from geoexplain.locator.model import GeoModel
from geoexplain.studio.work import Cancelled, Progress

OBJECTIVE, STEPS = "insertion-deletion", 12


def tuned_for_image(
    model: GeoModel, image: Image.Image, target: Explained, combi: Any, *, progress: Progress, cancelled: Cancelled
) -> dict[str, Any]:
    """The best setting that a search finds for an image and a cell or place, or the page's own, and what it gains.

    `combi` is what the page says its Combi-CAM is; the search takes its method and level. Raises DataError for a cell
    that the model has not, or no such setting; ExplanationCancelledError when called off.
    """
    method, now = setting_of(combi)
    checked_choices(now.level, now.how, OBJECTIVE)
    case = prepare(model, model.tensor(image), target, method, cancelled=cancelled)
    before = value_of(case, now, OBJECTIVE, STEPS)
    found = tune([case], level=now.level, objective=OBJECTIVE, steps=STEPS, progress=progress, cancelled=cancelled)
    better = before is None or found.value > before
    best = found.setting if better else now
    return {
        "preset": {
            "method": method,
            "level": best.level,
            "score": "probability",
            "how": best.how,
            "weights": list(best.weights),
        },
        "words": words_of(before, found.value),
    }


def setting_of(combi: Any) -> tuple[str, Setting]:
    """Method and setting of what the page says. Raises DataError for what is no setting."""
    nonsense = DataError("expected the setting of Combi-CAM, got something else: reload the page.")
    if not isinstance(combi, dict):
        raise nonsense
    try:
        weights = tuple(float(weight) for weight in combi["weights"])
        return str(combi["method"]), Setting(str(combi["level"]), str(combi["how"]), weights)
    except (TypeError, KeyError, ValueError, OverflowError):
        raise nonsense from None


def words_of(before: float | None, after: float) -> str:
    """From what to what the objective rose, if it did; None is the value of a flat map."""
    what = f"{OBJECTIVES[OBJECTIVE].title} ({STEPS} steps)"
    if before is not None and after <= before:
        return f"Nothing that was tried is better than what is set: {what} is {before:.3f}."
    rise = f"is {after:.3f}; the map before was flat" if before is None else f"rose from {before:.3f} to {after:.3f}"
    return f"{what[0].upper()}{what[1:]} {rise}. Weights tuned on one image say nothing of others."
