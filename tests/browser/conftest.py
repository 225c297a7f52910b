"""One studio with the bundled model, for all modules that bring no models of their own."""

from collections.abc import Iterator

import pytest

import geoexplain
from geoexplain.locator.model import GeoModel
from tests.browser.studio import running_studio


@pytest.fixture(scope="session")
def model() -> GeoModel:
    return geoexplain.load_model()


@pytest.fixture(scope="session")
def url(model: GeoModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_studio(model, tmp_path_factory.mktemp("uploads")) as url:
        yield url
