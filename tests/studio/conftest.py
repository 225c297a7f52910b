"""One small network for all tests of the studio: random weights, twelve cells."""

import pytest

from geoexplain.locator.model import GeoModel
from tests.explainer.networks import random_model


@pytest.fixture(scope="session")
def model() -> GeoModel:
    return random_model()
