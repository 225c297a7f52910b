"""A studio with the bundled model, for every module that brings no models of its own."""

from collections.abc import Iterator

import pytest

import geoexplain
from geoexplain.locator.model import GeoModel
from tests.browser.studio import running_studio


@pytest.fixture(scope="module")
def model() -> GeoModel:
    return geoexplain.load_model()


@pytest.fixture(scope="module")
def url(model: GeoModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_studio(model, tmp_path_factory.mktemp("uploads")) as url:
        yield url
