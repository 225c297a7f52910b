"""Effects applied to views in training, in order, each to a share of the views."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from geoexplain.imagery.camera import Ground
from geoexplain.imagery.color import develop, flatten_land, jitter_color, recolor_sea, remap_colors
from geoexplain.imagery.earth import Imagery
from geoexplain.imagery.markings import Markings, draw_borders, draw_graticule, write_names
from geoexplain.imagery.scene import Scene
from geoexplain.imagery.sensor import blur, frame, grey, jpeg, noise
from geoexplain.imagery.sky import cloud_cover, cloud_veil, cumulus, glint, haze, opaque_clouds, shade, space


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Clouds and markings for effects, on the device of the views.

    clouds    maps of clouds, white on black; None: no opaque clouds
    markings  borders and names
    """

    clouds: Imagery | None
    markings: Markings


@dataclass(frozen=True)
class Effect:
    """One random change of views.

    share  probability that it is applied to a view, in [0, 1]
    apply  (scene of N views, surroundings, generator on their device) → RGB (N, 3, S, S)
    """

    share: float
    apply: Callable[[Scene, Surroundings, torch.Generator], Tensor]


def _clouds(scene: Scene, around: Surroundings, generator: torch.Generator) -> Tensor:
    if around.clouds is None:
        return scene.rgb
    return opaque_clouds(scene, cloud_cover(scene, around.clouds, generator), generator)


EFFECTS: dict[str, Effect] = {
    "sea": Effect(0.6, lambda scene, _, draw: recolor_sea(scene.rgb, scene.water, draw)),
    "colours": Effect(0.55, lambda scene, _, draw: remap_colors(scene.rgb, draw)),
    "outlines": Effect(0.06, lambda scene, _, draw: flatten_land(scene.rgb, scene.water, draw)),
    "exposure": Effect(1.0, lambda scene, _, draw: jitter_color(scene.rgb, draw).clamp(0, 1)),
    "developed": Effect(0.35, lambda scene, _, draw: develop(scene.rgb, draw)),
    "borders": Effect(0.08, lambda scene, around, draw: draw_borders(scene, around.markings, draw)),
    "graticule": Effect(0.06, lambda scene, _, draw: draw_graticule(scene, draw)),
    "clouds": Effect(0.55, _clouds),
    "cumulus": Effect(0.15, lambda scene, _, draw: cumulus(scene, draw)),
    "veil": Effect(0.2, lambda scene, _, draw: cloud_veil(scene, draw)),
    "glint": Effect(0.08, lambda scene, _, draw: glint(scene, draw)),
    "haze": Effect(0.45, lambda scene, _, draw: haze(scene, draw)),
    "shade": Effect(0.25, lambda scene, _, draw: shade(scene, draw)),
    "space": Effect(1.0, lambda scene, _, draw: space(scene, draw)),
    "names": Effect(0.1, lambda scene, around, draw: write_names(scene, around.markings, draw)),
    "grey": Effect(0.12, lambda scene, _, draw: grey(scene.rgb, draw)),
    "frame": Effect(0.05, lambda scene, _, draw: frame(scene.rgb, draw)),
    "blur": Effect(0.3, lambda scene, _, draw: blur(scene.rgb, draw)),
    "noise": Effect(0.8, lambda scene, _, draw: noise(scene.rgb, draw)),
    "compression": Effect(0.5, lambda scene, _, draw: jpeg(scene.rgb, draw)),
}
"""Every effect by name, in order. Training, evaluation under conditions, and tests read this table."""


def photograph(
    scene: Scene, around: Surroundings, generator: torch.Generator, effects: Mapping[str, Effect] = EFFECTS
) -> Tensor:
    """Apply random effects to the views of a scene, each in its own way; return RGB (N, 3, S, S) in [0, 1].

    `generator`, on the device of the views, decides which views an effect changes, and how. The scene is not changed.
    """
    rgb = scene.rgb
    for effect in effects.values():
        if effect.share >= 1:
            rgb = effect.apply(scene.with_rgb(rgb), around, generator)
            continue
        drawn = torch.rand(len(scene), generator=generator, device=generator.device) < effect.share
        rows = torch.nonzero(drawn).flatten()
        if len(rows):
            some = scene[rows].with_rgb(rgb[rows])
            rgb = rgb.index_copy(0, rows, effect.apply(some, around, generator))
    return rgb.clamp(0, 1)


WITHOUT_GROUND = ("colours", "exposure", "developed", "grey", "frame", "blur", "noise", "compression")
"""Effects that need no ground positions and apply to any picture."""


def photograph_other(rgb: Tensor, around: Surroundings, generator: torch.Generator) -> Tensor:
    """Apply the effects WITHOUT_GROUND to pictures (N, 3, S, S) in [0, 1] that are no views, as `photograph` does."""
    nowhere = torch.zeros(len(rgb), *rgb.shape[2:], device=rgb.device)
    ground = Ground(nowhere, nowhere, nowhere + 1, nowhere)
    scene = Scene(rgb, nowhere.unsqueeze(1), ground, nowhere[:, 0, 0] + 1)
    return photograph(scene, around, generator, {name: EFFECTS[name] for name in WITHOUT_GROUND})
