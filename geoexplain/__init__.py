"""geoexplain: where a CNN thinks an image was taken, and why.

`load_model()` gives the bundled model, `locate(image, model)` a Prediction, `explain(image, model)` an Explanation;
its `combi_cam()` and `heatmap(method)` give Heatmaps. `contrast(explanation, model, against)` gives a Contrast of two
cells: why here and not there. A CellGroup is several cells explained as one, such as those of a country.
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
"""Where each public name is defined. PyTorch takes seconds to import, so a module is imported when it is first used."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
