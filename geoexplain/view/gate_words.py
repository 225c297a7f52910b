"""What the gate has to say about an image, in plain sentences."""

from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import Prediction

MEANING = "The model knows nothing else: its answer means nothing here."


def gate_sentence(model: GeoModel, prediction: Prediction) -> str:
    """That an image does not seem to be of the kind that the model is for.

    Empty where it is of that kind, or where the model cannot tell.
    """
    if prediction.in_domain is not False or model.gate is None:
        return ""
    return f"This does not seem to be {model.gate.kind}."


def gate_fact(model: GeoModel, prediction: Prediction) -> str:
    """One line on how sure the gate is, or why it says nothing."""
    if model.gate is None or prediction.domain_score is None:
        why = f"its gate cannot be used. {model.ungated}" if model.ungated else "it has no gate"
        return f"Whether the model knows this kind of image cannot be told: {why}"
    return f"How sure the gate is that this is {model.gate.kind}: {_hundredths(prediction.domain_score)}"


def _hundredths(share: float) -> str:
    """A share in [0, 1] in per cent, never rounded to none or all."""
    if share < 0.01:
        return "less than 1 %"
    return "more than 99 %" if share > 0.99 else f"{100 * share:.0f} %"
