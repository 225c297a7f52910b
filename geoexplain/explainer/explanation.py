"""Locate and explain one image: its prediction, and every map that one forward and one gradient pass give."""

from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.explainer.cams import StageMap
from geoexplain.explainer.combine import Heatmap, combine, deepest_weights, equal_weights
from geoexplain.explainer.subject import Subject
from geoexplain.explainer.table import canonical_name, draw, stage_maps
from geoexplain.explainer.target import CellGroup
from geoexplain.explainer.trace import Trace, trace
from geoexplain.images import ImageSource, open_image
from geoexplain.locator.model import GeoModel, LocalizableRule
from geoexplain.locator.prediction import Prediction, crop_logits, predict
from geoexplain.locator.retrieval import SearchWithinCell

Target = int | tuple[float, float] | CellGroup | None
"""The target as a caller gives it: a cell; a position (latitude, longitude) in degrees, for the cell that holds it;
several cells as one, such as those of a place; or None for the most probable cell."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """A model's prediction for an image, and all data that gradient methods need to draw maps without the network.

    image       the RGB image, upright
    tensor      the network's input (1, 3, H, W)
    prediction  the predicted location, independent of the target
    trace       activations and gradients of every stage and block
    """

    image: Image.Image = field(repr=False)
    tensor: Tensor = field(repr=False)
    prediction: Prediction
    trace: Trace = field(repr=False)

    @property
    def target(self) -> int:
        """The explained cell; of several cells the most probable one."""
        return self.trace.target

    @property
    def share(self) -> float:
        """Probability of the target, in [0, 1]: of the cell, or of all explained cells together."""
        group = self.trace.group
        return float(self.prediction.probabilities[[self.target] if group is None else list(group.cells)].sum())

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels of the network's input, the size of every heatmap."""
        return self.trace.size_hw

    def maps(self, method: str, level: str) -> tuple[StageMap, ...]:
        """Compute the raw maps of one gradient method at every "stage" or "block". No network pass.

        Raises DataError for another level, or a method that needs the network.
        """
        return stage_maps(self.trace, canonical_name(method), level)

    def draw(
        self,
        name: str,
        model: GeoModel,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Heatmap:
        """Draw any explanation of EXPLANATIONS for the traced image, target and score.

        model      the model that was explained
        progress   called as progress(done, total) by explanations that run the network many times
        cancelled  called repeatedly by the same explanations; if it returns True, ExplanationCancelledError is raised

        Raises DataError for another name, ExplanationCancelledError when cancelled.
        """
        return draw(name, Subject(model, self.tensor, self.trace, progress=progress, cancelled=cancelled))

    def heatmap(self, method: str) -> Heatmap:
        """Draw a gradient method on its own, as in its paper: the map of the deepest stage. Raises as `maps` does."""
        maps = self.maps(method, "stage")
        return combine(maps, deepest_weights(len(maps)), "sum", self.size_hw)

    def combi_cam(
        self,
        weights: tuple[float, ...] | None = None,
        *,
        method: str = "grad-cam",
        level: str = "block",
        how: str = "sum",
    ) -> Heatmap:
        """Draw Combi-CAM with any weights, one per stage or block (None: 1 for each). The defaults are as published.

        The score is that of the trace. Raises DataError as `combine` and `stage_maps` do.
        """
        maps = self.maps(method, level)
        return combine(maps, equal_weights(len(maps)) if weights is None else weights, how, self.size_hw)


def explain(
    image: ImageSource,
    model: GeoModel,
    *,
    target: Target = None,
    score: str = "probability",
    rule: LocalizableRule | None = None,
    search: SearchWithinCell | None = None,
) -> Explanation:
    """Locate an image and explain one cell, or several as one, with one forward and one gradient pass.

    image   a path, bytes, file, Pillow image or array, as `geoexplain.images.open_image` accepts them
    target  the cell or cells to explain, see Target
    score   "probability" or "logit"
    rule    when the image counts as localizable; None: the model's own rule
    search  Search within Cell, which moves the point to the most similar photos of the top cell

    Raises ImageError for an image that cannot be used, DataError for a target or score that does not exist.
    """
    picture = open_image(image)
    tensor = model.tensor(picture)
    explained = target if isinstance(target, CellGroup) else target_cell(model, target)
    traced = trace(model, tensor, explained, score)
    prediction = predict(
        model, traced.logits, features=traced.features, statistics=traced.statistics, search=search, rule=rule
    )
    return Explanation(picture, tensor, prediction, traced)


def target_cell(model: GeoModel, target: int | tuple[float, float] | None) -> int | None:
    """Return the index of a cell, given as such or by a position in it; None stays None.

    Raises DataError for a position that is not on Earth.
    """
    if not isinstance(target, tuple):
        return target
    if len(target) != 2 or not (-90 <= target[0] <= 90 and -180 <= target[1] <= 180):
        raise DataError(
            f"expected a target latitude in [-90, 90] and longitude in [-180, 180], got {target}: "
            "give the latitude first, in degrees."
        )
    return model.partition.cell_at(*target)


def locate(
    image: ImageSource,
    model: GeoModel,
    *,
    rule: LocalizableRule | None = None,
    search: SearchWithinCell | None = None,
    crops: int = 1,
    how: str = "max",
) -> Prediction:
    """Locate an image with one forward pass.

    rule, search  as for `explain`
    crops         1: the whole image; 5: its corners and its centre, as `Preprocess.five_crops` cuts them. The search
                  then uses the mean of their features
    how           key in CROP_RULES: how the logits of five crops become one

    Raises ImageError for an image that cannot be used, DataError for another number of crops or another rule.
    """
    if crops not in {1, 5}:
        raise DataError(f"expected 1 or 5 crops, got {crops}: choose one of these.")
    picture = open_image(image)
    views = model.tensor(picture) if crops == 1 else model.preprocess.five_crops(picture)
    seen = model.encode(views)  # features (crops, D)
    return predict(
        model,
        crop_logits(model, seen.features, how),
        features=seen.features.mean(0),
        statistics=seen.statistics,
        search=search,
        rule=rule,
    )
