"""geoexplain: where a CNN thinks an image was taken, and why.

`load_model()` returns the bundled model. `locate(image, model)` returns a Prediction, `explain(image, model)` an
Explanation, whose `combi_cam()` and `heatmap(method)` return Heatmaps. `contrast(explanation, model, against)` returns
a Contrast of two cells: why here and not there. A CellGroup is several cells explained as one, such as a country's.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODULES = {
    "CellGroup": "explainer.target",
    "Contrast": "explainer.contrast",
    "Explanation": "explainer.explanation",
    "GeoModel": "locator.model",
    "Heatmap": "explainer.combine",
    "Prediction": "locator.prediction",
    "contrast": "explainer.contrast",
    "explain": "explainer.explanation",
    "load_model": "locator.zoo",
    "locate": "explainer.explanation",
}
"""Public name → module that defines it. PyTorch takes seconds to import, so each module is imported on first use."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
