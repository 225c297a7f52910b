"""One image, one cell: the prediction, and every map that one forward and one gradient pass give."""

from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.explainer.cams import StageMap
from geoexplain.explainer.combine import Heatmap, combine, deepest, every
from geoexplain.explainer.subject import Subject
from geoexplain.explainer.table import canonical, draw, stage_maps
from geoexplain.explainer.target import CellGroup
from geoexplain.explainer.trace import Trace, trace
from geoexplain.images import ImageSource, open_image
from geoexplain.locator.model import GeoModel, LocalizableRule
from geoexplain.locator.prediction import Prediction, crop_logits, predict
from geoexplain.locator.retrieval import SearchWithinCell

Target = int | tuple[float, float] | CellGroup | None
"""What is explained: a cell, the cell of a point, (latitude, longitude) in degrees, several cells as one (those of a
place), or None for the top one."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """What a model says of an image, and what it takes to draw any gradient method's maps without the network.

    image       the RGB image as it was opened, upright
    tensor      what the network saw (1, 3, H, W)
    prediction  where, whatever cell is explained
    trace       activations and gradients of every stage and block
    """

    image: Image.Image = field(repr=False)
    tensor: Tensor = field(repr=False)
    prediction: Prediction
    trace: Trace = field(repr=False)

    @property
    def target(self) -> int:
        """The explained cell; of a group the most probable one."""
        return self.trace.target

    @property
    def share(self) -> float:
        """Probability, in [0, 1], of what is explained: of the cell, or of all cells of the group together."""
        group = self.trace.group
        return float(self.prediction.probabilities[[self.target] if group is None else list(group.cells)].sum())

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels of the network's input, the size of every heatmap."""
        return self.trace.size_hw

    def maps(self, method: str, level: str) -> tuple[StageMap, ...]:
        """The raw maps of one gradient method at every "stage" or "block". No network pass.

        Raises DataError for another level, or a method that needs the network.
        """
        return stage_maps(self.trace, canonical(method), level)

    def draw(
        self,
        name: str,
        model: GeoModel,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Heatmap:
        """Any explanation of EXPLANATIONS of what was traced: its image, cell and score.

        model      the one that was explained
        progress   called as progress(done, total) by those that run the network many times over
        cancelled  asked again and again by the same; if it says True, ExplanationCancelledError is raised

        Raises DataError for another name, ExplanationCancelledError when called off.
        """
        return draw(name, Subject(model, self.tensor, self.trace, progress=progress, cancelled=cancelled))

    def heatmap(self, method: str) -> Heatmap:
        """A gradient method on its own, as its paper shows it: the map of the deepest stage. Errors as for `maps`."""
        maps = self.maps(method, "stage")
        return combine(maps, deepest(len(maps)), "sum", self.size_hw)

    def combi_cam(
        self,
        weights: tuple[float, ...] | None = None,
        *,
        method: str = "grad-cam",
        level: str = "block",
        how: str = "sum",
    ) -> Heatmap:
        """Combi-CAM for any weights, one per stage or block (None: 1 for each). As published by default.

        The score is the one that was explained. Raises DataError as `combine` and `stage_maps` do.
        """
        maps = self.maps(method, level)
        return combine(maps, every(len(maps)) if weights is None else weights, how, self.size_hw)


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

    image   a path, bytes, file, Pillow image or array, as `geoexplain.images.open_image` takes them
    target  see Target
    score   "probability" or "logit"
    rule    when the image counts as localizable; None is the model's own
    search  looks for the point among the photos of the top cell

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
    """A cell or coordinates as the index of a cell; None stays None. Raises DataError for coordinates not on Earth."""
    if not isinstance(target, tuple):
        return target
    if len(target) != 2 or not (-90 <= target[0] <= 90 and -180 <= target[1] <= 180):
        raise DataError(
            f"expected a target latitude in [-90, 90] and longitude in [-180, 180], got {target}: "
            "give latitude first, in degrees."
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
    """Where a model places an image, with one forward pass.

    rule, search  as for `explain`
    crops         1: the whole image; 5: its corners and its centre, as `Preprocess.five_crops` cuts them; the search
                  then takes the mean of their features
    how           a rule of CROP_RULES by which five become one

    Raises ImageError for an image that cannot be used, DataError for another number of crops or another rule.
    """
    if crops not in {1, 5}:
        raise DataError(f"expected 1 or 5 crops, got {crops}: choose one of these.")
    picture = open_image(image)
    views = model.tensor(picture) if crops == 1 else model.preprocess.five_crops(picture)
    seen = model.look(views)  # features (crops, D)
    return predict(
        model,
        crop_logits(model, seen.features, how),
        features=seen.features.mean(0),
        statistics=seen.statistics,
        search=search,
        rule=rule,
    )
