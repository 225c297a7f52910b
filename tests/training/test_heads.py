"""Losses of the heads, worked out by hand."""

import math

import numpy as np
import pytest
import torch

from geoexplain.geography.sphere import unit_vectors
from geoexplain.locator.heads import MultiPartitionHead, VonMisesFisherHead
from geoexplain.training.heads import HEADS, Truth
from geoexplain.training.losses import mixture_bits, partition_losses
from tests.training.worlds import CENTERS, world_partitioning


def test_cross_entropies_add_up_over_the_levels() -> None:
    coarse = torch.log(torch.tensor([[0.5, 0.5], [0.2, 0.8]])) + 3
    fine = torch.log(torch.tensor([[0.25, 0.25, 0.5], [0.1, 0.2, 0.7]])) - 1
    losses = partition_losses([coarse, fine], torch.tensor([[0, 2], [1, 1]]))
    expected = [-math.log(0.5) - math.log(0.5), -math.log(0.8) - math.log(0.2)]
    assert losses.tolist() == pytest.approx(expected, abs=1e-6)


def test_the_linear_head_is_held_to_the_finest_level_alone() -> None:
    head = HEADS["linear"].build(2, world_partitioning())
    assert isinstance(head, MultiPartitionHead)
    layer = head.classifier[0]
    layer.weight.data, layer.bias.data = torch.zeros(4, 2), torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4]))
    truth = Truth(torch.tensor([[2, 3], [0, 0]]), torch.zeros(2, 3))  # coarse classes 2 and 0 do not count
    assert HEADS["linear"].losses(head, head.levels(torch.zeros(2, 2)), truth, 150.0).tolist() == pytest.approx(
        [-math.log(0.4), -math.log(0.1)], abs=1e-6
    )


def test_the_product_of_the_multi_partition_head_follows_the_parents() -> None:
    head = HEADS["multi"].build(2, world_partitioning())
    shares = [torch.tensor([[0.5, 0.3, 0.2]]).log(), torch.tensor([[0.4, 0.1, 0.3, 0.2]]).log()]
    assert head.along_hierarchy(shares).exp()[0].tolist() == pytest.approx([0.2, 0.05, 0.09, 0.04], abs=1e-6)


def test_bits_of_the_mixture_at_a_centre_by_hand() -> None:
    # κ = e² at the centre of the only component with weight: κ / (2π (1 − e^(−2κ))) per steradian
    head = VonMisesFisherHead(1, torch.from_numpy(CENTERS))
    head.mvmf.kappas.data.fill_(2.0 - 16)
    logits = torch.tensor([[50.0, 0, 0, 0]])
    kappa = math.exp(2)
    density = kappa / (2 * math.pi * (1 - math.exp(-2 * kappa)))
    position = torch.from_numpy(unit_vectors(CENTERS[:1])).float()
    assert mixture_bits(head, logits, position).item() == pytest.approx(-math.log2(density + 1e-9), abs=1e-4)


def test_what_is_far_from_every_component_costs_no_more_than_the_constant() -> None:
    head = VonMisesFisherHead(1, torch.from_numpy(CENTERS))
    head.mvmf.kappas.data.fill_(9.0 - 16)
    antipodes = torch.from_numpy(-unit_vectors(CENTERS)).float().requires_grad_(True)
    bits = mixture_bits(head, torch.zeros(4, 4), antipodes)
    np.testing.assert_allclose(bits.detach(), -math.log2(1e-9), atol=1e-4)
    bits.sum().backward()
    assert torch.isfinite(head.mvmf.kappas.grad).all()  # type: ignore[arg-type]
