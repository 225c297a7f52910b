"""Predictions as records for scripts: one JSON object per image, its keys stable."""

from typing import Any

from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import Prediction


def prediction_record(image: str, model: GeoModel, prediction: Prediction, top: int = 5) -> dict[str, Any]:
    """A prediction as plain data.

    image       what to call the image
    prediction  of that image by `model`
    top         how many of the best cells to list

    Coordinates in degrees, probabilities in [0, 1]; "density" maps each radius in km, as text, to the prediction
    density there. Every value is plain Python, ready for `json.dumps`.
    """
    cells = model.partition
    return {
        "image": image,
        "model": model.name,
        "latitude": prediction.lat_deg,
        "longitude": prediction.lon_deg,
        "cell": prediction.cell,
        "label": cells.labels[prediction.cell],
        "probability": float(prediction.probabilities[prediction.cell]),
        "density": {str(radius): density for radius, density in prediction.density_by_km.items()},
        "localizable": prediction.localizable,
        "top": [
            {
                "cell": cell,
                "label": cells.labels[cell],
                "latitude": float(cells.centers_deg[cell, 0]),
                "longitude": float(cells.centers_deg[cell, 1]),
                "probability": float(prediction.probabilities[cell]),
            }
            for cell in prediction.top(top)
        ],
    }
