"""Who says which pixels show what: one small interface, and land cover of views from above without any download."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.explainer.concepts import dilate
from geoexplain.geography.footprint import Footprint, on_lake, on_land, pixel_positions

Masks = dict[str, NDArray[np.bool_]]
"""Concept → bool (H, W). Masks may overlap, may be empty, and need not cover the image."""

COAST_PX = 2
COAST_TOLERANCE_KM = 20.0
"""Water this near to the ocean is ocean: a coast of 1:50m leaves out bays and lagoons, and imagery is a little off."""

ICE_LEAST = 150
ICE_SATURATION = 0.15
WATER_BLUENESS = 4
WATER_SATURATION = 0.25
WATER_DARK = 12
BARE_LIGHTNESS = 90
BARE_WARMTH = 8
GREENNESS = 0.1


class Segmenter(Protocol):
    """Anything that finds concepts in an image."""

    def __call__(self, image: Image.Image, position: Footprint | None = None) -> Masks:
        """Masks (H, W) for an RGB image of W × H px, just as the network sees it (`Preprocess.view`).

        position  what the image covers, if it is a view from above whose place is known

        Raises a GeoExplainError for an image, or a position, that it cannot use.
        """
        ...


@dataclass(frozen=True)
class LandCover:
    """The land cover of a view from above, by documented rules of colour and, where its place is known, by the map.

    Always: "ice and snow", "desert" (any bare ground), "vegetation" and "coastline". With a position, "ocean", "lake"
    and "land" by Natural Earth's coast and lakes; without one, "water" and "land" by colour alone. Land and coastline
    overlap the others, and a frozen lake is both lake and ice; else no two share a pixel. What is brown or grey, and
    dark, is none of them. The Caspian Sea counts as ocean, as Natural Earth has it, and the sea's ice as ice alone,
    since no map knows where it ends.

    coast_px  the coastline is the boundary of the ocean (or water), two pixels wide, grown by so many on either side

    The rules look at red, green and blue (R, G, B in 0–255), with saturation (max − min) / max; the first that holds:

        ice and snow  all of R, G, B ≥ 150, saturation ≤ 0.15
        water         B − R ≥ 4 and saturation ≥ 0.25, or all of R, G, B ≤ 12
        desert        mean of R, G, B ≥ 90, R − G ≥ 8, and excess green below 0.1
        vegetation    excess green (2 G − R − B) / (R + G + B) ≥ 0.1 (Woebbecke et al. 1995)

    They were set on months 01, 04, 07 and 10 of NASA's Blue Marble Next Generation. In 240 views of months 03 and 09,
    500 to 2,000 km across, held against Natural Earth's 1:50m layers: water by colour alone has 99.8 % precision and
    91 % recall; of glaciers 99 % is ice and snow, of the named deserts 87 % desert, of land in views centred within 8°
    of the equator 95 % vegetation. Of lakes 96 % of the area is found, at a precision of 98 %: that compares two
    releases of one map, and most of what is missing are Australia's salt lakes. Only half of that area has the colour
    of water, so that a view of unknown place shows fewer. They are no rules for photos: a cloud is snow to them, and
    a blue roof water.

    Raises DataError for a width out of 0 to 100 px.
    """

    coast_px: int = COAST_PX

    def __post_init__(self) -> None:
        if isinstance(self.coast_px, bool) or not isinstance(self.coast_px, int) or not 0 <= self.coast_px <= 100:
            raise DataError(f"land cover: expected a coastline of 0 to 100 px, got {self.coast_px!r}.")

    def __call__(self, image: Image.Image, position: Footprint | None = None) -> Masks:
        """Masks (H, W) as the class says. Raises DataError for an image that is not RGB."""
        if image.mode != "RGB":
            raise DataError(f"land cover: expected an RGB image, got mode {image.mode}: open it with open_image first.")
        rgb = np.asarray(image).astype(np.int16)  # (H, W, 3)
        ice, water, desert, vegetation = _classify_by_color(rgb)
        if position is None:
            sea = wet = water
            waters = {"water": water}
        else:
            places = pixel_positions(position, water.shape)
            lake = on_lake(places)
            sea = _sea(position, places, water) & ~lake
            wet = sea | lake
            waters = {"ocean": sea & ~ice, "lake": lake}
        return {
            **waters,
            "land": ~wet & ~water,
            "coastline": _shore(sea, self.coast_px),
            "ice and snow": ice,
            "desert": desert & ~wet,
            "vegetation": vegetation & ~wet,
        }


def _classify_by_color(rgb: NDArray[np.int16]) -> tuple[NDArray[np.bool_], ...]:
    """Ice, water, desert and vegetation (H, W) of an image (H, W, 3): no pixel is in two of them."""
    red, green, blue = np.moveaxis(rgb, -1, 0)
    lowest, highest, total = rgb.min(axis=-1), rgb.max(axis=-1), rgb.sum(axis=-1)
    spread = highest - lowest
    ice = (lowest >= ICE_LEAST) & (spread <= ICE_SATURATION * highest)
    blueish = (blue - red >= WATER_BLUENESS) & (spread >= WATER_SATURATION * highest)
    water = ~ice & (blueish | (highest <= WATER_DARK))
    green_enough = 2 * green - red - blue >= GREENNESS * total
    bare = (total >= 3 * BARE_LIGHTNESS) & (red - green >= BARE_WARMTH)
    rest = ~ice & ~water
    return ice, water, rest & bare & ~green_enough, rest & green_enough


def _sea(position: Footprint, places: NDArray[np.float64], water: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The ocean (H, W) by the map, with the water by colour that lies within COAST_TOLERANCE_KM of it."""
    sea = ~on_land(places)
    # A view narrower than the tolerance that touches the sea lies at the sea altogether. Of the narrowest the reach
    # is infinite, and cannot be rounded.
    reach_px = round(min(COAST_TOLERANCE_KM / position.width_km * water.shape[1], max(water.shape)))
    return sea | (water & dilate(sea, reach_px))


def _shore(sea: NDArray[np.bool_], coast_px: int) -> NDArray[np.bool_]:
    return dilate(dilate(sea, 1) & dilate(~sea, 1), coast_px)
