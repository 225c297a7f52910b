"""Effects on views: what each keeps, the share of views that it changes, and equal results for equal seeds."""

import dataclasses

import numpy as np
import pytest
import torch

from geoexplain.imagery.camera import Ground
from geoexplain.imagery.effects import EFFECTS, WITHOUT_GROUND, Surroundings, photograph, photograph_other
from geoexplain.imagery.scene import Scene
from tests.imagery.scenes import coast, flat_ground, generator, made_surroundings, scene_of, smooth_views

AROUND = made_surroundings()


def any_scene(n: int = 16, size: int = 48) -> Scene:
    """Return a scene of land and sea, with space beside the Earth in the last rows."""
    rgb, water = coast(n, size)
    ground = flat_ground(n, size, slant=0.7)
    height = ground.height.clone()
    height[:, -6:] = 0.01
    return scene_of(rgb, water, Ground(ground.lat, ground.lon, ground.slant, height))


def copied(scene: Scene) -> list[torch.Tensor]:
    ground = scene.ground
    parts = (scene.rgb, scene.water, ground.lat, ground.lon, ground.slant, ground.height, scene.footprint_km)
    return [part.clone() for part in parts]


@pytest.mark.parametrize("name", EFFECTS)
def test_every_effect_gives_pictures_and_leaves_the_scene_alone(name: str) -> None:
    scene = any_scene()
    before = copied(scene)
    seen = EFFECTS[name].apply(scene, AROUND, generator(3))
    assert seen.shape == scene.rgb.shape
    assert seen.dtype == torch.float32
    assert 0 <= seen.min() <= seen.max() <= 1
    assert not torch.equal(seen, scene.rgb)
    assert torch.equal(seen, EFFECTS[name].apply(scene, AROUND, generator(3)))
    assert not torch.equal(seen, EFFECTS[name].apply(scene, AROUND, generator(4)))
    for now, then in zip(copied(scene), before, strict=True):
        assert torch.equal(now, then)


@pytest.mark.parametrize("name", EFFECTS)
def test_every_effect_happens_to_its_share_of_views(name: str) -> None:
    effect = EFFECTS[name]
    happened = dataclasses.replace(effect, apply=lambda scene, _around, _draw: scene.rgb + 0.25)
    scene = scene_of(torch.full((2000, 3, 2, 2), 0.5))
    touched = (photograph(scene, AROUND, generator(1), {name: happened}) != scene.rgb).flatten(1)
    assert torch.equal(touched.any(dim=1), touched.all(dim=1))  # a view as a whole, or not at all
    if effect.share == 1:
        assert touched.all()
    assert 0 < effect.share <= 1
    # within four standard deviations
    assert touched.float().mean() == pytest.approx(effect.share, abs=4 * 0.5 / 2000**0.5)


def test_effects_follow_one_another_each_on_its_own_views() -> None:
    seen = []

    def adding(amount: float):
        def apply(scene: Scene, _around: Surroundings, _draw: torch.Generator) -> torch.Tensor:
            seen.append((amount, scene.footprint_km.tolist(), scene.rgb[:, 0, 0, 0].tolist()))
            return scene.rgb + amount

        return apply

    scene = dataclasses.replace(scene_of(torch.zeros(40, 3, 2, 2)), footprint_km=torch.arange(40.0))
    effect = EFFECTS["grey"]
    effects = {
        "first": dataclasses.replace(effect, share=0.5, apply=adding(0.25)),
        "second": dataclasses.replace(effect, share=1.0, apply=adding(0.5)),
    }
    after = photograph(scene, AROUND, generator(), effects)
    (_, rows, _), (_, everybody, begun_with) = seen
    assert everybody == list(range(40))
    assert 8 < len(rows) < 32
    expected = [0.25 if view in rows else 0.0 for view in range(40)]
    assert begun_with == expected
    np.testing.assert_allclose(after[:, 0, 0, 0], np.array(expected) + 0.5)


def test_without_clouds_the_sky_is_clear() -> None:
    scene = any_scene()
    assert torch.equal(EFFECTS["clouds"].apply(scene, made_surroundings(clouds=False), generator()), scene.rgb)


def test_space_covers_what_is_drawn_beside_the_earth() -> None:
    names = list(EFFECTS)
    for drawn in ("borders", "graticule", "clouds", "cumulus", "veil", "haze", "shade", "glint"):
        assert names.index(drawn) < names.index("space")
    every = {name: dataclasses.replace(effect, share=1.0) for name, effect in list(EFFECTS.items())}
    above = {name: effect for name, effect in every.items() if names.index(name) <= names.index("space")}
    scene = any_scene()
    far = dataclasses.replace(scene.ground, height=torch.where(scene.ground.height > 0, 0.5, 0.0))
    photographed = photograph(dataclasses.replace(scene, ground=far), AROUND, generator(), above)
    assert photographed[:, :, -6:].max() < 1e-6


@pytest.mark.parametrize("size", [96, 50])
def test_photographed_views_are_images_and_the_same_for_a_seed(size: int) -> None:
    scene = any_scene(16, size)
    before = copied(scene)
    first = photograph(scene, AROUND, generator(4))
    assert all(torch.equal(now, then) for now, then in zip(copied(scene), before, strict=True))
    assert first.shape == (16, 3, size, size)
    assert first.dtype == torch.float32
    assert 0 <= first.min() <= first.max() <= 1
    assert torch.equal(first, photograph(scene, AROUND, generator(4)))
    assert not torch.equal(first, photograph(scene, AROUND, generator(5)))


def test_views_are_changed_each_in_its_own_way() -> None:
    rgb, water = coast(1)
    same = scene_of(rgb.expand(12, -1, -1, -1), water.expand(12, -1, -1, -1))
    changed = photograph(same, AROUND, generator())
    for i in range(12):
        for j in range(i):
            assert (changed[i] - changed[j]).abs().mean() > 0.005


def test_what_is_seen_stays_recognisable() -> None:
    # by effects that neither hide nor repaint the ground
    gentle = {name: EFFECTS[name] for name in ("sea", "exposure", "veil", "blur", "noise", "compression")}
    views = smooth_views(32)
    seen = photograph(scene_of(views), AROUND, generator(7), gentle)
    before, after = views.mean(dim=1).flatten(1), seen.mean(dim=1).flatten(1)
    correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(before, after, strict=True)]
    assert np.median(correlations) > 0.9
    assert min(correlations) > 0.5


def test_pictures_without_ground_are_changed_as_by_a_camera_only() -> None:
    assert set(WITHOUT_GROUND) < set(EFFECTS)
    pictures = smooth_views(100, 32)
    changed = photograph_other(pictures, AROUND, generator())
    assert changed.shape == pictures.shape
    assert 0 <= changed.min() <= changed.max() <= 1
    assert torch.equal(changed, photograph_other(pictures, AROUND, generator()))
    # uniform pictures stay uniform except for noise, compression and frames: nothing is drawn over them
    flat = torch.full((100, 3, 32, 32), 0.5)
    seen = photograph_other(flat, AROUND, generator())[:, :, 8:24, 8:24]
    assert seen.std(dim=(2, 3)).max() < 0.06
    assert (seen.mean(dim=(2, 3)) - 0.5).abs().max() > 0.05
