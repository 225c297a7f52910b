"""Named concepts of the map: deserts, mountain ranges, glaciers, cities and others, from Natural Earth's files."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import shapely
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.explainer.segmenters import LandCover, Masks
from geoexplain.geography.features import Feature
from geoexplain.geography.footprint import Footprint, on_land, pixel_positions, within
from geoexplain.geography.naturalearth import read_layer

REGIONS, GLACIERS, CITIES = "geography_regions_polys", "glaciated_areas", "urban_areas"
LAYERS = (REGIONS, GLACIERS, CITIES)

REGION_CONCEPTS: dict[str, tuple[str, ...]] = {
    "named desert": ("desert",),
    "mountain range": ("range/mtn",),
    "plateau": ("plateau",),
    "plain": ("plain", "lowland"),
    "basin": ("basin",),
    "delta": ("delta",),
    "wetland": ("wetlands",),
    "peninsula": ("pen/cape", "peninsula"),
    "island": ("island",),
}
"""Concept → classes (column featurecla) of the layer of regions. Not included are continents and other areas that
describe a location instead of a kind of land, and groups of islands, whose outlines contain more sea than land."""

CONCEPTS = (*REGION_CONCEPTS, "glacier", "urban area")


@dataclass(frozen=True, eq=False)
class NaturalConcepts:
    """A segmenter: the land cover of a view and, if its position is known, Natural Earth's named concepts.

    trees       concept → tree over its prepared polygons, for those of CONCEPTS whose layer was in the folder
    sha256      hash of the files that they come from, in hexadecimal
    land_cover  segmenter of the land cover

    The outlines of regions are made for labels, coarse and overlapping; here they are clipped to the land.
    """

    trees: Mapping[str, shapely.STRtree] = field(repr=False)
    sha256: str
    land_cover: LandCover = field(default_factory=LandCover)

    def __call__(self, image: Image.Image, position: Footprint | None = None) -> Masks:
        """Return masks (H, W) of LandCover and every concept, empty if absent; raises DataError as LandCover does."""
        masks = self.land_cover(image, position)
        if position is None:
            return masks
        places = pixel_positions(position, (image.height, image.width))
        land = on_land(places)
        return masks | {concept: land & within(places, tree) for concept, tree in self.trees.items()}


def natural_concepts(folder: Path) -> NaturalConcepts:
    """Read those of LAYERS that a folder holds, at the scale that read_layer() finds.

    Raises DataError as read_layer() does, and for a folder without any of them.
    """
    layers = {name: layer for name in LAYERS if (layer := read_layer(folder, name)) is not None}
    if not layers:
        raise DataError(
            f"{folder}: expected Natural Earth's files, such as ne_50m_{REGIONS}.zip or ne_50m_{CITIES}.zip, got "
            "none: download them from naturalearthdata.com."
        )
    shapes: dict[str, list[shapely.Geometry]] = {}
    if REGIONS in layers:
        of_class: dict[str, list[shapely.Geometry]] = {}
        for feature in layers[REGIONS].features:
            of_class.setdefault(str(feature.properties.get("featurecla")).lower(), []).extend(_areas(feature))
        for concept, classes in REGION_CONCEPTS.items():
            shapes[concept] = [shape for one in classes for shape in of_class.get(one, [])]
    for name, concept in ((GLACIERS, "glacier"), (CITIES, "urban area")):
        if name in layers:
            shapes[concept] = [shape for feature in layers[name].features for shape in _areas(feature)]
    digest = hashlib.sha256("".join(layer.sha256 for layer in layers.values()).encode()).hexdigest()
    return NaturalConcepts({concept: _tree(polygons) for concept, polygons in shapes.items()}, digest)


def _areas(feature: Feature) -> list[shapely.Geometry]:
    return [] if feature.shape is None or feature.shape.geom_type == "Point" else [feature.shape]


def _tree(shapes: list[shapely.Geometry]) -> shapely.STRtree:
    prepared = np.array(shapes, dtype=object)
    shapely.prepare(prepared)
    return shapely.STRtree(prepared)
