"""The random mixture of views for training: narrow and wide, vertical and oblique, of one rendering or two blended."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.geography.sphere import EARTH_RADIUS_KM
from geoexplain.imagery.camera import Camera
from geoexplain.imagery.views import LARGEST_FOOTPRINT_KM, ViewPoints, sample_centers
from geoexplain.words import exact_km

NEAREST_CAMERA, FARTHEST_CAMERA = 0.8, 15.0
"""Bounds of the distance between camera and centre, in widths of the view: from a wide-angle lens to a telescope."""


@dataclass(frozen=True)
class ViewMixture:
    """Distribution of views for training. Widths are in km, angles in degrees, shares in [0, 1].

    footprint_km  range of the widths of most views, log-uniform
    extreme_km    range of the widths of a share `extreme` of the views, log-uniform
    rotation_deg  maximum angle between north and the top of a view
    turned        share of views with any rotation
    oblique       share of views through a camera with a tilt that is uniform up to `tilt_deg`
    blended       share of views that blend two renderings of the same ground
    softened      share of views that may come from a coarser level of the imagery: half of these by one level, a
                  quarter by two, a quarter not at all

    Raises DataError for values out of range.
    """

    footprint_km: tuple[float, float] = (300.0, 2400.0)
    extreme_km: tuple[float, float] = (250.0, 6000.0)
    extreme: float = 0.3
    rotation_deg: float = 35.0
    turned: float = 0.25
    oblique: float = 0.45
    tilt_deg: float = 60.0
    blended: float = 0.5
    softened: float = 0.4

    def __post_init__(self) -> None:
        shares = (self.extreme, self.turned, self.oblique, self.blended, self.softened)
        widths = (self.footprint_km, self.extreme_km)
        if not (
            all(0 <= share <= 1 for share in shares)
            and all(0 < low <= high <= LARGEST_FOOTPRINT_KM for low, high in widths)
            and 0 <= self.rotation_deg <= 180
            and 0 <= self.tilt_deg < 90
        ):
            raise DataError(
                f"expected widths from low to high within 0 and {exact_km(LARGEST_FOOTPRINT_KM)}, shares within 0 and "
                f"1, a rotation of at most 180° and a tilt below 90°, got {self}: correct these."
            )


@dataclass(frozen=True, eq=False)
class MixedPoints:
    """Sampled parameters of N views of a mixture.

    plain        rows (A,) of the equidistant views, and their view points
    oblique      rows (B,) of the views through a camera, and their view points; A + B = N
    centers_deg  float64 (N, 2), latitude and longitude in degrees
    second       int64 (N,), the image that is blended in
    share        float32 (N,), its weight, in [0, 1]
    softer       int64 (N,), number of levels coarser than the view's own
    """

    plain: tuple[Tensor, ViewPoints]
    oblique: tuple[Tensor, ViewPoints]
    centers_deg: Tensor
    second: Tensor
    share: Tensor
    softer: Tensor


def sample_mixture(count: int, weights: Tensor, generator: torch.Generator, mixture: ViewMixture) -> MixedPoints:
    """Sample `count` random views of a mixture, centred on or near land, on the CPU.

    `weights` (M,) ≥ 0 are the relative frequencies of the M images. Raises DataError if weights are negative, not
    finite, or all 0.
    """
    if not (torch.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        raise DataError(
            f"expected weights of images of at least 0, one of them above, got {weights.tolist()}: correct them."
        )

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    def chance(share: float) -> Tensor:
        return torch.rand(count, generator=generator) < share

    def log_uniform(low: float, high: float) -> Tensor:
        return uniform(math.log(low), math.log(high)).exp()

    centers = torch.from_numpy(sample_centers(count, generator))
    width = torch.where(chance(mixture.extreme), log_uniform(*mixture.extreme_km), log_uniform(*mixture.footprint_km))
    rotation = torch.where(
        chance(mixture.turned), uniform(-180, 180), uniform(-mixture.rotation_deg, mixture.rotation_deg)
    )
    source, second = torch.multinomial(weights.float(), 2 * count, replacement=True, generator=generator).chunk(2)
    share = torch.where(chance(mixture.blended), uniform(0, 1), torch.zeros(count))
    softer = (chance(mixture.softened) * uniform(0, 2)).round().long()
    # Half of the cameras are beyond the view's lower edge, as in most photographs; the others are on random sides.
    below = rotation + 180 + uniform(-30, 30)
    toward = torch.where(chance(0.5), below, uniform(-180, 180))
    distance = width / EARTH_RADIUS_KM * log_uniform(NEAREST_CAMERA, FARTHEST_CAMERA)
    camera = Camera(uniform(0, mixture.tilt_deg), toward, 1 / distance)
    oblique = chance(mixture.oblique)
    plain, through = torch.nonzero(~oblique).flatten(), torch.nonzero(oblique).flatten()
    points = ViewPoints(centers, width, rotation, source, camera)
    return MixedPoints(
        (plain, replace(points, camera=None)[plain]), (through, points[through]), centers, second, share, softer
    )
