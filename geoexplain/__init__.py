"""geoexplain: where a CNN thinks an image was taken, and why.

    import geoexplain

    model = geoexplain.load_model()
    geoexplain.locate("photo.jpg", model).lat_deg
    geoexplain.explain("photo.jpg", model).combi_cam().values
"""

from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.explanation import Explanation, explain, locate
from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import Prediction
from geoexplain.locator.zoo import load_model

__all__ = ["Explanation", "GeoModel", "Heatmap", "Prediction", "explain", "load_model", "locate"]
__version__ = "0.1.0"
