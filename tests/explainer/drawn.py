"""Draw explanations of the table from what a test has at hand."""

from types import SimpleNamespace

from torch import Tensor

from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.subject import Seed, Subject
from geoexplain.explainer.table import draw
from geoexplain.explainer.target import Explained
from geoexplain.explainer.trace import Trace
from geoexplain.locator.model import GeoModel


def baseline(name: str, tensor: Tensor, target: Explained, seed: Seed = 0) -> Heatmap:
    """Draw a baseline of an image (1, 3, H, W). It needs no network, and only the target of a trace."""
    return draw(name, Subject(None, tensor, SimpleNamespace(explained=target), seed))  # type: ignore[arg-type]


def drawn(name: str, model: GeoModel, tensor: Tensor, traced: Trace) -> Heatmap:
    """Draw an explanation of a traced image (1, 3, H, W)."""
    return draw(name, Subject(model, tensor, traced))
