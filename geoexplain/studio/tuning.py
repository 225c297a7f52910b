"""Weights of Combi-CAM for the image on the page: what the search found, and whether that gains anything."""

from typing import Any

from PIL import Image

from geoexplain.errors import DataError
from geoexplain.explainer.target import Explained
from geoexplain.explainer.tuning import Setting, check_choices, prepare_case, tune, value_of
from geoexplain.explainer.tuning_gain import ImageGain, gain_text, image_gain, measurement_count
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
    check_choices(now.level, now.how, OBJECTIVE)
    case = prepare_case(model, model.tensor(image), target, method, cancelled=cancelled)
    before = value_of(case, now, OBJECTIVE, STEPS)
    rest, trials = measurement_count(OBJECTIVE), 0

    def searched(done: int, total: int) -> None:
        nonlocal trials
        trials = total
        progress(done, total + rest)

    found = tune([case], level=now.level, objective=OBJECTIVE, steps=STEPS, progress=searched, cancelled=cancelled)
    better = before is None or found.value > before
    best = found.setting if better else now
    gain = image_gain(
        case,
        best,
        OBJECTIVE,
        STEPS,
        progress=lambda done, _total: progress(trials + done, trials + rest),
        cancelled=cancelled,
    )
    progress(trials + rest, trials + rest)
    return {
        "preset": {
            "method": method,
            "level": best.level,
            "score": "probability",
            "how": best.how,
            "weights": list(best.weights),
        },
        "words": words_of(gain, kept=not better),
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


def words_of(gain: ImageGain | None, *, kept: bool) -> str:
    """What was gained over the best map that needs no tuning; `kept` if nothing was better than what was set."""
    first = "Nothing that was tried is better than what is set. " if kept else ""
    return f"{first}{gain_text(gain)} Weights tuned on one image say nothing of others."
