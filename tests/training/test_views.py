"""Batches of views and of pictures that are none, and what training on them does."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor

from geoexplain.errors import CheckpointError, DataError
from geoexplain.geography.partition import hierarchy
from geoexplain.imagery.conditions import CONDITIONS, views_under
from geoexplain.imagery.others import sample_others
from geoexplain.locator.backbone import preprocess_for
from geoexplain.locator.model import Network
from geoexplain.training import views as training_views
from geoexplain.training.distributed import alone
from geoexplain.training.run import Run
from geoexplain.training.settings import Phase
from geoexplain.training.source import TrainingBatch, cells_fingerprint
from geoexplain.training.views import ViewSource, run_partitioning, view_partitioning
from tests.imagery.scenes import generator
from tests.training.worlds import CENTERS, source_settings, world_network, world_views

ARCHITECTURE = "test_efficientnet"
PREPROCESS = preprocess_for(ARCHITECTURE, 32)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def source() -> ViewSource:
    return world_views()


def batches(
    source: ViewSource, count: int, *, batch: int = 8, start: int = 0, rank: int = 0, world: int = 1, number: int = 0
) -> list[TrainingBatch]:
    phase, preprocess = Phase(32, batch, images=1), PREPROCESS
    made = source.batches(phase, preprocess, seed=(5, number), start=start, rank=rank, world=world, workers=0)
    return list(islice(made, count))


def rgb_of(images: Tensor) -> Tensor:
    # values from 0 to 1, by test_efficientnet's means of 0.485, 0.456, 0.406 and deviations
    shape = (1, 3, 1, 1)
    return images * torch.tensor(PREPROCESS.std).view(shape) + torch.tensor(PREPROCESS.mean).view(shape)


def test_batches_hold_views_and_then_pictures_that_are_none(source: ViewSource) -> None:
    found = batches(source, 2, batch=10)
    assert [(tuple(batch.images.shape), len(batch.truth.positions)) for batch in found] == [
        ((10, 3, 32, 32), 8),  # of 10 a quarter, rounded to even
        ((10, 3, 32, 32), 8),
    ]
    for batch in found:
        rgb = rgb_of(batch.images)
        assert -1e-5 <= rgb.min() <= rgb.max() <= 1 + 1e-5
        torch.testing.assert_close(batch.truth.positions.norm(dim=1), torch.ones(8))
        # each kind counts with its mean, that of the 2 others half as much: 8 × 0.5 / 2 of a view's weight each
        assert batch.nowhere == 2.0
    (without,) = batches(replace(source, others_share=0.0), 1, batch=10)
    assert (len(without.truth.positions), without.nowhere) == (10, 0.0)
    with pytest.raises(DataError, match="expected a share of at least 0 and below 1, got 1"):
        replace(source, others_share=1)


def test_a_batch_depends_on_its_number_alone(source: ViewSource) -> None:
    first, second, third = batches(source, 3)
    (again,) = batches(source, 1, start=2)
    assert torch.equal(again.images, third.images)
    assert torch.equal(again.truth.positions, third.truth.positions)
    (elsewhere,) = batches(source, 1, number=1)
    seen = [first, second, third, elsewhere]
    assert len({tuple(batch.truth.positions.flatten().tolist()) for batch in seen}) == 4


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_images_of_one(source: ViewSource, world: int) -> None:
    # 36 views and 12 others: blocks of 32 and 4, and one of 12
    (whole,) = batches(source, 1, batch=48)
    shares = [batches(source, 1, batch=48, rank=rank, world=world)[0] for rank in range(world)]
    assert sorted(len(share.images) for share in shares) == sorted({2: [44, 4], 3: [32, 4, 12]}[world])
    views = torch.cat([share.images[: len(share.truth.positions)] for share in shares])
    others = torch.cat([share.images[len(share.truth.positions) :] for share in shares])
    assert torch.equal(torch.cat([views, others]), whole.images)
    assert torch.equal(torch.cat([share.truth.positions for share in shares]), whole.truth.positions)
    assert torch.equal(torch.cat([share.truth.classes for share in shares]), whole.truth.classes)
    assert {share.nowhere for share in shares} == {whole.nowhere}


def test_views_lie_where_the_batch_says(source: ViewSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_views, "photograph", lambda scene, *_: scene.rgb)
    plain = replace(source, mixture=replace(source.mixture, oblique=0.0, blended=0.0, softened=0.0))
    for batch in batches(plain, 3):
        positions = batch.truth.positions
        middle = rgb_of(batch.images[: len(positions)].double())[:, :, 14:18, 14:18].mean(dim=(2, 3))
        # a colour is (v + 1) / 2 times an unknown shade from 0.4 to 1: v is told but for that
        cosine = torch.nn.functional.cosine_similarity(middle.float(), (positions + 1) / 2)
        assert cosine.min() > 0.98
        nearest = (positions @ torch.from_numpy(plain.partitioning.levels[0].unit_vectors.T).float()).argmax(dim=1)
        assert batch.truth.classes[:, 0].tolist() == nearest.tolist()


def test_images_are_drawn_by_their_weights(source: ViewSource, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = []
    sample = training_views.sample_mixture

    def heard(count: int, drawn_by: Tensor, *more: object) -> object:
        weights.append(drawn_by.tolist())
        return sample(count, drawn_by, *more)

    monkeypatch.setattr(training_views, "sample_mixture", heard)
    batches(replace(source, weights=(("other", 3.0),)), 5)
    assert weights == [[1.0, 3.0]] * 5


def test_the_first_part_of_a_name_decides_how_often_an_image_is_drawn(source: ViewSource) -> None:
    weighed = replace(source, weights=(("earth_3", 5.0), ("earth", 2.0), ("dull", 0.0)))
    names = ("natural_earth_3.jpg", "natural_earth_2.jpg", "world.200401.jpg", "dull.png")
    assert [weighed.weight_of(name) for name in names] == [5, 2, 1, 0]


def test_cells_of_a_run_come_from_its_checkpoint(source: ViewSource) -> None:
    settings = source_settings("views")
    run = Run(source, settings, world_network(settings, source.partitioning), alone(torch.device("cpu")))
    found = run_partitioning(run.state(), 4)
    assert np.array_equal(found.levels[0].centers_deg, CENTERS)
    assert cells_fingerprint(found) == cells_fingerprint(source.partitioning)
    with pytest.raises(CheckpointError, match="expected cells 4, as the run was begun with, got 5"):
        run_partitioning(run.state(), 5)
    with pytest.raises(CheckpointError, match="expected a run on views, got one on photos"):
        run_partitioning({**run.state(), "unit": "photos"})


def test_cells_are_even_and_the_same_for_a_seed() -> None:
    cells = view_partitioning(16, seed=3)
    assert np.array_equal(cells.levels[0].centers_deg, view_partitioning(16, seed=3).levels[0].centers_deg)
    assert not np.array_equal(cells.levels[0].centers_deg, view_partitioning(16, seed=4).levels[0].centers_deg)
    assert hierarchy(cells.levels[0], ()).tolist() == [[cell] for cell in range(16)]
    assert cells.classes(cells.levels[0].centers_deg)[:, 0].tolist() == list(range(16))
    with pytest.raises(DataError, match="expected at least 4 cells, got 3"):
        view_partitioning(3)


def top_probability(network: Network, rgb: Tensor) -> float:
    with torch.inference_mode():
        return float(torch.softmax(network.eval()(PREPROCESS.normalize(rgb)), dim=1).amax(dim=1).mean())


def test_pictures_that_are_no_views_are_placed_nowhere(source: ViewSource, monkeypatch: pytest.MonkeyPatch) -> None:
    # without effects, which a network so small could not learn to see through in a hundred steps
    monkeypatch.setattr(training_views, "photograph", lambda scene, *_: scene.rgb)
    monkeypatch.setattr(training_views, "photograph_other", lambda rgb, *_: rgb)
    views = views_under(
        CONDITIONS["plain"], source.imagery, views=128, seed=5, footprint_km=(500.0, 2000.0), rotation_deg=30.0
    ).render(0, 128, 32)
    others = sample_others(128, 32, [], source.around.markings, generator(99))
    sure = {}
    for share in (0.0, 0.5):
        cells = view_partitioning(8)
        settings = source_settings(
            "views",
            phases=(Phase(32, 32, images=3200),),
            learning_rate=5e-3,
            warmup_images=160,
            bandwidth_km=2000.0,
            average_decay=0.998,
        )
        some = replace(source, partitioning=cells, others=(), others_share=share)
        run = Run(some, settings, world_network(settings, cells), alone(torch.device("cpu")))
        while not run.done:
            run.advance()
        sure[share] = top_probability(run.network, views), top_probability(run.network, others)
    # a network that never saw any is sure of where they are; one that did is much less so, and knows the views
    assert sure[0.0][1] > 0.65
    assert sure[0.5][0] > 0.65
    assert sure[0.5][1] < 0.65 * sure[0.0][1]
    assert sure[0.5][1] < 0.65 * sure[0.5][0]
