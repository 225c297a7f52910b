"""Conditions under which a model is evaluated: widths, rotations, tilts, clouds, colours and markings of views."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.imagery.camera import Camera
from geoexplain.imagery.earth import Imagery
from geoexplain.imagery.effects import EFFECTS, Effect, Surroundings, photograph
from geoexplain.imagery.mixture import ViewMixture, sample_mixture
from geoexplain.imagery.scene import Scene, mixed_scene, plain_scene
from geoexplain.imagery.sky import cloud_cover, opaque_clouds
from geoexplain.imagery.views import sample_view_points
from geoexplain.words import exact_km

BLOCK = 32
"""Number of views rendered together. The size is fixed, so that a view does not depend on the number requested."""

MOST_DRAWS = 60
"""Maximum number of attempts to draw a cloud cover with a mean opacity within its bounds."""


@dataclass(frozen=True)
class Condition:
    """One kind of random views.

    title         name for people
    footprint_km  range of widths, log-uniform; None takes the caller's
    rotation_deg  range of angles between north and the top, to either side; None takes the caller's
    tilt_deg      range of tilts of a distant camera; None looks straight down
    effects       effects applied to every view, by their names in EFFECTS
    cover         range of the mean opacity of the clouds over a view
    mixture       whether the views are drawn and changed as in training
    """

    title: str
    footprint_km: tuple[float, float] | None = None
    rotation_deg: tuple[float, float] | None = None
    tilt_deg: tuple[float, float] | None = None
    effects: tuple[str, ...] = ()
    cover: tuple[float, float] | None = None
    mixture: bool = False

    def sampling(self, footprint_km: tuple[float, float], rotation_deg: float) -> str:
        """Describe widths and rotations of the views in words; the arguments replace ranges that are None."""
        if self.mixture:
            return "as wide, turned and aslant as training draws them"
        low, high = self.footprint_km or footprint_km
        least, most = self.rotation_deg or (0.0, rotation_deg)
        turned = f"±{most:g}°" if not least else f"{least:g} to {most:g}° to either side"
        return f"footprint {low:,g}–{exact_km(high)}, rotation {turned}"

    @property
    def needs_surroundings(self) -> bool:
        """Whether the views need Surroundings."""
        return self.mixture or bool(self.effects)

    @property
    def needs_clouds(self) -> bool:
        """Whether the views need a map of clouds."""
        return self.mixture or "clouds" in self.effects


CONDITIONS: dict[str, Condition] = {
    "plain": Condition("as the imagery shows it"),
    "mixture": Condition("all that training does to views", mixture=True),
    "width-300": Condition("300 km wide", footprint_km=(300, 300)),
    "width-4000": Condition("4,000 km wide", footprint_km=(4000, 4000)),
    "width-6000": Condition("6,000 km wide", footprint_km=(6000, 6000)),
    "turned": Condition("north 45 to 180° off the top", rotation_deg=(45, 180)),
    "oblique": Condition("seen 35 to 60° aslant", tilt_deg=(35, 60), effects=("space",)),
    "clouds": Condition("10 to 45 % under opaque clouds", effects=("clouds",), cover=(0.10, 0.45)),
    "overcast": Condition("45 to 70 % under opaque clouds", effects=("clouds",), cover=(0.45, 0.70)),
    "colours": Condition("other colours for land and sea", effects=("sea", "colours", "exposure")),
    "developed": Condition("dark or pale, flat or harsh", effects=("developed",)),
    "grey": Condition("in grey", effects=("grey",)),
    "haze": Condition("through haze", effects=("haze",)),
    "marked": Condition("with names, borders and a graticule", effects=("borders", "graticule", "names")),
    "camera": Condition("blurred, noisy and compressed", effects=("blur", "noise", "compression")),
}
"""Every condition by name. `geoexplain evaluate views` and tests read this table."""


@dataclass(frozen=True, eq=False)
class ViewSet:
    """Views of known position, rendered on request.

    name       names of the images that they show
    truth_deg  float64 (N, 2), latitude and longitude of the centres in degrees
    render     (start, stop, side in px) → RGB (stop − start, 3, S, S) in [0, 1] of the views in [start, stop); start is
               a multiple of BLOCK
    """

    name: str
    truth_deg: Tensor
    render: Callable[[int, int, int], Tensor]

    def __len__(self) -> int:
        return len(self.truth_deg)


def views_under(
    condition: Condition,
    imagery: Imagery,
    *,
    views: int,
    seed: int,
    footprint_km: tuple[float, float],
    rotation_deg: float,
    around: Surroundings | None = None,
) -> ViewSet:
    """Sample `views` random views of whole-earth imagery under a condition; equal seeds give equal views.

    Views without effects are those of `sample_view_points` and `render`. `footprint_km` (log-uniform) and
    ±`rotation_deg` apply to conditions that do not set them. `around` holds clouds and markings for effects.

    Raises DataError for less than one view, and for a condition that needs surroundings or clouds if there are none.
    """
    if views < 1:
        raise DataError(f"expected at least 1 view, got {views}: request one or more.")
    if condition.needs_surroundings and around is None:
        raise DataError(f"views {condition.title}: expected surroundings to lay over them, got none: pass around=.")
    if condition.needs_clouds and (around is None or around.clouds is None):
        raise DataError(f"views {condition.title}: expected a map of clouds, got none: name one with --clouds.")
    if condition.mixture:
        assert around is not None
        return _mixture_views(imagery, views, seed, around)
    generator = torch.Generator().manual_seed(seed)
    points = sample_view_points(
        views,
        len(imagery),
        generator,
        footprint_km=condition.footprint_km or footprint_km,
        rotation_deg=rotation_deg,
    )
    if condition.rotation_deg is not None:
        points = replace(points, rotation_deg=_either_side(views, condition.rotation_deg, generator))
    if condition.tilt_deg is not None:
        points = replace(points, camera=_far_camera(views, condition.tilt_deg, generator))
    effects = {effect: replace(EFFECTS[effect], share=1.0) for effect in EFFECTS if effect in condition.effects}
    if condition.cover is not None:
        effects["clouds"] = Effect(1.0, partial(_clouds_within, bounds=condition.cover))

    def block(start: int, size_px: int) -> Tensor:
        scene = plain_scene(imagery, points[start : start + BLOCK], size_px)
        if around is None or not effects:
            return scene.rgb
        return photograph(scene, around, _block_generator(seed, start, imagery.device), effects)

    return ViewSet(", ".join(imagery.names), points.centers_deg, partial(_render_blocks, block))


def _render_blocks(block: Callable[[int, int], Tensor], start: int, stop: int, size_px: int) -> Tensor:
    """Render whole blocks and cut the result to the requested views; half a block would draw other random numbers."""
    return torch.cat([block(first, size_px) for first in range(start, stop, BLOCK)])[: stop - start]


def _mixture_views(imagery: Imagery, views: int, seed: int, around: Surroundings) -> ViewSet:
    generator = torch.Generator().manual_seed(seed)
    weights, mixture = torch.ones(len(imagery)), ViewMixture()
    blocks = [
        sample_mixture(min(BLOCK, views - start), weights, generator, mixture) for start in range(0, views, BLOCK)
    ]

    def block(start: int, size_px: int) -> Tensor:
        scene = mixed_scene(imagery, blocks[start // BLOCK], size_px)
        return photograph(scene, around, _block_generator(seed, start, imagery.device))

    centers_deg = torch.cat([points.centers_deg for points in blocks])
    return ViewSet(", ".join(imagery.names), centers_deg, partial(_render_blocks, block))


def _block_generator(seed: int, start: int, device: torch.device) -> torch.Generator:
    # Each block of each seed gets its own generator.
    return torch.Generator(device=device).manual_seed((1_000_003 * (seed + 1) + start) % 2**63)


def _either_side(count: int, bounds_deg: tuple[float, float], generator: torch.Generator) -> Tensor:
    low, high = bounds_deg
    size, side = torch.rand(2, count, generator=generator)
    return (low + (high - low) * size) * torch.where(side < 0.5, -1.0, 1.0)


def _far_camera(count: int, bounds_deg: tuple[float, float], generator: torch.Generator) -> Camera:
    """Return infinitely distant cameras on random sides, so that only the tilt foreshortens the view."""
    low, high = bounds_deg
    tilt, toward = torch.rand(2, count, generator=generator)
    return Camera(low + (high - low) * tilt, 360 * toward - 180, torch.zeros(count))


def _clouds_within(
    scene: Scene, around: Surroundings, generator: torch.Generator, *, bounds: tuple[float, float]
) -> Tensor:
    """Cover the views with clouds of a mean opacity within bounds, or as close to them as MOST_DRAWS attempts get."""
    assert around.clouds is not None
    low, high = bounds
    best = cloud_cover(scene, around.clouds, generator)
    for _ in range(MOST_DRAWS):
        off = _distance(best.mean(dim=(1, 2, 3)), low, high)
        rows = torch.nonzero(off > 0).flatten()
        if not len(rows):
            break
        other = cloud_cover(scene[rows], around.clouds, generator)
        nearer = _distance(other.mean(dim=(1, 2, 3)), low, high) < off[rows]
        best[rows[nearer]] = other[nearer]
    return opaque_clouds(scene, best, generator)


def _distance(value: Tensor, low: float, high: float) -> Tensor:
    return (low - value).clamp_min(0) + (value - high).clamp_min(0)
