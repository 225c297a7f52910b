"""Text on what the gate says about an image."""

from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import Prediction
from geoexplain.words import percent

MEANING = "The model knows nothing else: its answer means nothing here."


def gate_sentence(model: GeoModel, prediction: Prediction) -> str:
    """Return a warning that an image does not seem to be of the kind that the model is for.

    Empty if it is of that kind, or if the model has no gate.
    """
    if prediction.in_domain is not False or model.gate is None:
        return ""
    return f"This does not seem to be {model.gate.kind}."


def gate_fact(model: GeoModel, prediction: Prediction) -> str:
    """Return one line with the gate's score, or the reason why there is none."""
    if model.gate is None or prediction.domain_score is None:
        why = f"its gate cannot be used. {model.ungated}" if model.ungated else "it has no gate"
        return f"Whether the model knows this kind of image is unknown: {why}"
    return f"How sure the gate is that this is {model.gate.kind}: {percent(prediction.domain_score)}"
