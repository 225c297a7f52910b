"""What the gate has to say about an image, in plain sentences."""

from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import Prediction
from geoexplain.words import percent

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
    return f"How sure the gate is that this is {model.gate.kind}: {percent(prediction.domain_score)}"
