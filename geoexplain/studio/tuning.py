"""Tune the weights of Combi-CAM for the image on the page, and measure what that gains."""

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
    """Return the best setting for an image and a cell or place, or the page's own if none is better, and its gain.

    `combi` is the setting of the page's Combi-CAM; the search keeps its method and level. Raises DataError for a cell
    that the model does not have or an invalid setting, ExplanationCancelledError when cancelled.
    """
    method, now = setting_of(combi)
    check_choices(now.level, now.how, OBJECTIVE)
    case = prepare_case(model, model.tensor(image), target, method, cancelled=cancelled)
    before = value_of(case, now, OBJECTIVE, STEPS)
    rest, trials = measurement_count(OBJECTIVE), 0

    def report_trials(done: int, total: int) -> None:
        nonlocal trials
        trials = total
        progress(done, total + rest)

    result = tune(
        [case], level=now.level, objective=OBJECTIVE, steps=STEPS, progress=report_trials, cancelled=cancelled
    )
    better = before is None or result.value > before
    best = result.setting if better else now
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
    """Return method and setting of the page's Combi-CAM. Raises DataError for an invalid setting."""
    invalid = DataError("expected the setting of Combi-CAM, got something else: reload the page.")
    if not isinstance(combi, dict):
        raise invalid
    try:
        weights = tuple(float(weight) for weight in combi["weights"])
        return str(combi["method"]), Setting(str(combi["level"]), str(combi["how"]), weights)
    except (TypeError, KeyError, ValueError, OverflowError):
        raise invalid from None


def words_of(gain: ImageGain | None, *, kept: bool) -> str:
    """Return what was gained over the best untuned map as text; `kept`: no trial was better than the page's setting."""
    first = "Nothing that was tried is better than what is set. " if kept else ""
    return f"{first}{gain_text(gain)} Weights tuned on one image say nothing of others."
