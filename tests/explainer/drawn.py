"""Explanations of the table, drawn from what tests have at hand."""

from types import SimpleNamespace

from torch import Tensor

from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.subject import Seed, Subject
from geoexplain.explainer.table import draw
from geoexplain.explainer.target import Explained
from geoexplain.explainer.trace import Trace
from geoexplain.locator.model import GeoModel


def baseline(name: str, tensor: Tensor, target: Explained, seed: Seed = 0) -> Heatmap:
    """A baseline of an image (1, 3, H, W): it takes no network, and of the trace no more than what it explains."""
    return draw(name, Subject(None, tensor, SimpleNamespace(explained=target), seed))  # type: ignore[arg-type]


def drawn(name: str, model: GeoModel, tensor: Tensor, traced: Trace) -> Heatmap:
    """An explanation of a traced image (1, 3, H, W)."""
    return draw(name, Subject(model, tensor, traced))
