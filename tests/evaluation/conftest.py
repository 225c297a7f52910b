"""What evaluations on several processes are held against."""

from collections.abc import Iterator

import pytest
import torch

from geoexplain.evaluation.engines.processes import cores


@pytest.fixture
def threads_of_one_in_two() -> Iterator[None]:
    """This process computes with as many threads as each of two workers: others would add in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, cores() // 2))
    yield
    torch.set_num_threads(before)
