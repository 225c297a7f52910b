"""One network that all tests of the explainer share, since building it takes longer than explaining with it."""

import pytest

from geoexplain.locator.model import GeoModel
from tests.explainer.networks import random_model


@pytest.fixture(scope="session")
def model() -> GeoModel:
    return random_model()
