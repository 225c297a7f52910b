"""Batches of views and of pictures that are none, and what training on them does."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from geoexplain.geography.sphere import unit_vectors
from geoexplain.imagery.conditions import CONDITIONS, views_under
from geoexplain.imagery.earth import Imagery, pack
from geoexplain.imagery.mixture import ViewMixture
from geoexplain.imagery.others import sample_others
from geoexplain.locator.backbone import preprocess_for
from geoexplain.training import run as training_run
from geoexplain.training.run import GeolocatorNetwork, ViewRun, ViewSources, view_batches
from geoexplain.training.settings import Phase, ViewTraining
from tests.imagery.earths import grid_deg
from tests.imagery.scenes import generator, made_surroundings

AROUND = made_surroundings()
SMALL = ViewTraining(
    architecture="test_efficientnet",
    cells=8,
    phases=(Phase(32, 10, 30), Phase(40, 8, 16)),
    others=0.25,
    mixture=ViewMixture(extreme=0, turned=0, oblique=0.2, footprint_km=(500.0, 2000.0)),
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def imagery() -> Imagery:
    """Two Earths whose colour tells the place, each of a brightness of its own in every texel."""
    shades = np.random.default_rng(0).uniform(0.4, 1, (2, 90, 180, 1))
    rgb = torch.from_numpy(((unit_vectors(grid_deg(90)) + 1) / 2 * 255 * shades).round().astype(np.uint8))
    return pack(torch.cat([rgb, torch.zeros(2, 90, 180, 1, dtype=torch.uint8)], dim=-1), ("one", "other"))


def batches(imagery: Imagery, settings: ViewTraining, seen: int = 0, others: tuple[Tensor, ...] = ()) -> list:
    sources = ViewSources(imagery, AROUND, others)
    return list(view_batches(sources, settings, seen, points=generator(1), noise=generator(2)))


def test_batches_hold_views_and_then_pictures_that_are_none(imagery: Imagery) -> None:
    found = batches(imagery, SMALL)
    assert [(tuple(images.shape), len(positions)) for images, positions in found] == [
        ((10, 3, 32, 32), 8),  # of 10 a quarter, rounded to even
        ((10, 3, 32, 32), 8),
        ((10, 3, 32, 32), 8),
        ((8, 3, 40, 40), 6),
        ((8, 3, 40, 40), 6),
    ]
    for images, positions in found:
        # values from 0 to 1, by test_efficientnet's means of 0.485, 0.456, 0.406 and deviations
        preprocess = preprocess_for("test_efficientnet", 32)
        shape = (1, 3, 1, 1)
        rgb = images * torch.tensor(preprocess.std).view(shape) + torch.tensor(preprocess.mean).view(shape)
        assert -1e-5 <= rgb.min() <= rgb.max() <= 1 + 1e-5
        torch.testing.assert_close(positions.norm(dim=1), torch.ones(len(positions)))
    again = batches(imagery, SMALL)
    assert all(
        torch.equal(a, b) for one, other in zip(found, again, strict=True) for a, b in zip(one, other, strict=True)
    )
    assert [len(positions) for _, positions in batches(imagery, replace(SMALL, others=0.0))] == [10, 10, 10, 8, 8]
    assert [tuple(images.shape) for images, _ in batches(imagery, SMALL, seen=38)] == [(8, 3, 40, 40)]


def test_views_lie_where_the_batch_says(imagery: Imagery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_run, "photograph", lambda scene, *_: scene.rgb)
    settings = replace(SMALL, mixture=replace(SMALL.mixture, oblique=0.0, blended=0.0, softened=0.0))
    preprocess = preprocess_for(SMALL.architecture, 32)
    for images, positions in batches(imagery, settings):
        views = images[: len(positions)].double()
        shape = (1, 3, 1, 1)
        rgb = views * torch.tensor(preprocess.std).view(shape) + torch.tensor(preprocess.mean).view(shape)
        middle = rgb[:, :, 14:18, 14:18].mean(dim=(2, 3))
        # a colour is (v + 1) / 2 times an unknown shade from 0.4 to 1: v is told but for that
        expected = (positions + 1) / 2
        cosine = torch.nn.functional.cosine_similarity(middle.float(), expected)
        assert cosine.min() > 0.98


def test_images_are_drawn_by_their_weights(imagery: Imagery, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = []
    sample = training_run.sample_mixture

    def heard(count: int, drawn_by: Tensor, *more: object) -> object:
        weights.append(drawn_by.tolist())
        return sample(count, drawn_by, *more)

    monkeypatch.setattr(training_run, "sample_mixture", heard)
    batches(imagery, replace(SMALL, weights=(("other", 3.0),)))
    assert weights == [[1.0, 3.0]] * 5


def test_a_run_goes_on_from_its_state_as_if_it_had_never_stopped(imagery: Imagery) -> None:
    others = (torch.randint(256, (3, 40, 60), generator=generator(), dtype=torch.uint8),)
    sources = ViewSources(imagery, AROUND, others)
    whole = ViewRun(sources, SMALL)
    while not whole.done:
        whole.step()
    first = ViewRun(sources, SMALL)
    first.step()
    first.step()
    saved = {
        "centers_deg": torch.from_numpy(first.centers_deg),
        "network": {key: value.clone() for key, value in first.network.state_dict().items()},
        "optimizer": first.optimizer.state_dict(),
        "average": first.average,
        "best": None,
        "best_score": -float("inf"),
        "seen": first.seen,
        "points": first.points.get_state(),
        "noise": first.noise.get_state(),
    }
    second = ViewRun(sources, SMALL, saved)
    while not second.done:
        second.step()
    assert second.seen == whole.seen == 46
    for key, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[key])


def top_probability(network: GeolocatorNetwork, rgb: Tensor) -> float:
    preprocess = preprocess_for(SMALL.architecture, 32)
    with torch.inference_mode():
        return float(torch.softmax(network.eval()(preprocess.normalise(rgb)), dim=1).amax(dim=1).mean())


def test_pictures_that_are_no_views_are_placed_nowhere(imagery: Imagery, monkeypatch: pytest.MonkeyPatch) -> None:
    # without effects, which a network so small could not learn to see through in a hundred steps
    monkeypatch.setattr(training_run, "photograph", lambda scene, *_: scene.rgb)
    monkeypatch.setattr(training_run, "photograph_other", lambda rgb, *_: rgb)
    views = views_under(
        CONDITIONS["plain"], imagery, views=128, seed=5, footprint_km=(500.0, 2000.0), rotation_deg=30.0
    ).render(0, 128, 32)
    others = sample_others(128, 32, [], AROUND.markings, generator(99))
    sure = {}
    for share in (0.0, 0.5):
        settings = replace(
            SMALL,
            others=share,
            phases=(Phase(32, 32, 3200),),
            learning_rate=5e-3,
            warmup_views=160,
            bandwidth_km=2000.0,
        )
        run = ViewRun(ViewSources(imagery, AROUND), settings)
        while not run.done:
            run.step()
        sure[share] = top_probability(run.network, views), top_probability(run.network, others)
    # a network that never saw any is sure of where they are; one that did is much less so, and knows the views
    assert sure[0.0][1] > 0.65
    assert sure[0.5][0] > 0.65
    assert sure[0.5][1] < 0.65 * sure[0.0][1]
    assert sure[0.5][1] < 0.65 * sure[0.5][0]
