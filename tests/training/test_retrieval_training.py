"""The contrastive loss by hand, how photos are drawn, and that an embedding learns what a place looks like."""

import math

import numpy as np
import pytest
import torch

from geoexplain.errors import DataError
from geoexplain.geography.sphere import destination, great_circle_km
from geoexplain.training.retrieval import (
    EmbeddingTraining,
    contrastive_losses,
    draw,
    places_of,
    recall_at_1,
    train_embedding,
)


def test_the_loss_of_four_photos_by_hand() -> None:
    # 0 and 1 partners; 2 is of the same place as both, but nobody's partner here; 3 is elsewhere
    vectors = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]])
    same = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]], dtype=torch.bool)
    losses = contrastive_losses(vectors, same, torch.tensor([1, 0, 1, 3]), temperature=0.5)
    # 0: partner at 0.6, elsewhere at −1; 1: 0.6 and −0.6; 2: 0.8 and 0
    expected = [
        -math.log(math.exp(2 * near) / (math.exp(2 * near) + math.exp(2 * far)))
        for near, far in ((0.6, -1.0), (0.6, -0.6), (0.8, 0.0))
    ]
    assert losses[:3].tolist() == pytest.approx(expected, abs=1e-6)


def world(places: int = 12, each: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Places 300 km apart with photos 20 m apart, two places to a cell; and one photo alone."""
    points = [destination((10.0, 3.0 * p), 90, 0.005 * n) for p in range(places) for n in range(each)]
    cells = [p // 2 for p in range(places) for _ in range(each)]
    return np.array([*points, (-40.0, 0.0)]), np.array([*cells, 99])


def test_pairs_are_of_one_place_and_the_lonely_is_left_out() -> None:
    positions, cells = world()
    places = places_of(positions, cells, 0.1)
    assert places.anchors.tolist() == list(range(48))
    assert sorted(len(cell) for cell in places.by_cell) == [8] * 6
    settings = EmbeddingTraining(pairs=10, per_cell=5)
    for seed in range(20):
        anchors, partners = draw(places, settings, np.random.default_rng(seed))
        assert (anchors != partners).all()
        assert great_circle_km(positions[anchors], positions[partners]).max() < 0.1
        assert np.bincount(cells[anchors]).max() >= 5
    with pytest.raises(DataError, match=r"within 0\.001 km of one another, got 0"):
        places_of(positions, cells, 0.001)


def test_an_embedding_learns_to_look_past_what_does_not_tell_places_apart() -> None:
    positions, cells = world(places=8, each=16)
    rng = np.random.default_rng(0)
    place = np.repeat(rng.normal(size=(9, 6)), [16] * 8 + [1], axis=0)  # these features tell it, ten louder ones do not

    def seen() -> np.ndarray:
        return np.concatenate([place, 2 * rng.normal(size=(len(place), 10))], axis=1).astype(np.float32)

    features, others = seen(), torch.from_numpy(seen())
    settings = EmbeddingTraining(pairs=24, per_cell=6, steps=80, hidden_dim=32, learning_rate=1e-2)
    first, again = (train_embedding(features, positions, cells, settings, torch.device("cpu")) for _ in range(2))
    for key, value in first.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)
    with torch.inference_mode():
        before = recall_at_1(torch.nn.functional.normalize(others, dim=1), positions, 0.5)
        after = recall_at_1(first(others), positions, 0.5)
    assert after > before + 0.25
