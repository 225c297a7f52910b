"""geoexplain: where a CNN thinks an image was taken, and why.

`load_model()` gives the bundled model, `locate(image, model)` a Prediction, `explain(image, model)` an Explanation;
its `combi_cam()` and `heatmap(method)` give Heatmaps. `contrast(explanation, model, against)` gives a Contrast of two
cells: why here and not there. A CellGroup is several cells explained as one, such as those of a country.
"""

from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.contrast import Contrast, contrast
from geoexplain.explainer.explanation import Explanation, explain, locate
from geoexplain.explainer.target import CellGroup
from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import Prediction
from geoexplain.locator.zoo import load_model

__all__ = [
    "CellGroup",
    "Contrast",
    "Explanation",
    "GeoModel",
    "Heatmap",
    "Prediction",
    "contrast",
    "explain",
    "load_model",
    "locate",
]
__version__ = "0.1.0"
