"""What is released is what was trained: calibrated, with both ways of answering, read back from its files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from shapely.geometry import box

from geoexplain.errors import DataError
from geoexplain.locator.zoo import load_model
from geoexplain.training.calibration import fit_temperature, fold_temperatures, temperature_layers
from geoexplain.training.countries import country_partitioning
from geoexplain.training.distributed import alone
from geoexplain.training.photo_release import calibrate
from geoexplain.training.photos import answers, level_logits
from geoexplain.training.release import build_model, check_name, write_model
from geoexplain.training.run import Run
from geoexplain.training.settings import Phase
from tests.training.worlds import CENTERS, drawn, world_network, world_partitioning, world_photos, world_settings


@pytest.mark.parametrize("head", ["linear", "multi", "mvmf"])
def test_a_released_model_answers_as_the_network_did(tmp_path: Path, head: str) -> None:
    partitioning, settings = world_partitioning(), world_settings(head=head)
    borders = tuple(box(lon - 1, lat - 1, lon + 1, lat + 1) for lat, lon in partitioning.levels[0].centers_deg)
    object.__setattr__(partitioning, "borders", (borders, (None,) * 3))
    photos = world_photos(drawn(), partitioning)
    network = world_network(settings, partitioning).eval()
    rows, levels = next(level_logits(network, photos, photos.validation, 48))
    expected = answers(network, levels)
    model = build_model(network, partitioning, name="mine", size_px=48, product=True, device="cpu")
    weights = write_model(model, partitioning, tmp_path)
    for way in expected:
        read = load_model(str(weights), "cpu", hierarchical=(way == "f*") if head == "multi" else None)
        square = [photos.collection.read(int(row)).crop((4, 0, 44, 40)) for row in rows]
        logits = torch.cat([read.logits(read.tensor(image)) for image in square])
        found, wanted = logits.log_softmax(dim=1), expected[way].log_softmax(dim=1)
        torch.testing.assert_close(found, wanted, atol=5e-3, rtol=0)
    assert read.partition.labels == partitioning.levels[0].labels
    assert len(read.coarser) == (1 if head == "multi" else 0)
    assert read.partition.borders is not None
    assert read.partition.borders[2].equals(borders[2])  # type: ignore[union-attr]


def test_every_level_is_calibrated_by_itself() -> None:
    partitioning = world_partitioning()
    settings = world_settings(phases=(Phase(32, 16, images=240),))
    collection = drawn(160)
    # a third of the photos are of another place than their colour says: nothing can be sure of them all
    collection.positions_deg[::3] = CENTERS[np.random.default_rng(4).integers(0, 4, 54)]
    photos = world_photos(collection, partitioning, validation=80)
    run = Run(photos, settings, world_network(settings, partitioning), alone(torch.device("cpu")))
    for _ in range(run.schedule.steps):
        run.advance()
    network = run.averaged()
    for _ in range(2):  # after so few steps the first temperature is at the end of its range
        calibrate(network, photos, 32)
    # what is calibrated needs no temperature; logits made 2 and 3 times too large need just that
    assert calibrate(network, photos, 32).levels == pytest.approx((1.0, 1.0), abs=0.01)
    for layer, factor in zip(temperature_layers(network.head), (2.0, 3.0), strict=True):
        layer.weight.data *= factor
        layer.bias.data *= factor
    found = calibrate(network, photos, 32)
    assert found.levels == pytest.approx((2.0, 3.0), rel=0.01)

    # Both levels know the same of a photo: their product counts it twice, until it is calibrated, too.
    assert found.product > 1.2
    fold_temperatures(network.head, (found.product, found.product))
    rows, levels = zip(*level_logits(network, photos, photos.validation, 32), strict=True)
    product = torch.cat([answers(network, batch)["f*"] for batch in levels])
    truth = photos.classes[np.concatenate(rows)][:, -1]
    assert fit_temperature(product, truth) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("name", ["", "Mine", "../x", "a b", ".hidden", "x" * 65])
def test_names_that_no_file_should_have_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="--name: expected small letters"):
        check_name(name)


def test_countries_of_photos() -> None:
    points = np.array([(48.85, 2.35), (45.76, 4.84), (35.68, 139.69), (-33.87, 151.21), (0.0, -150.0)])
    countries = country_partitioning(points)
    assert set(countries.levels[0].labels) == {"France", "Japan", "Australia"}
    names = [countries.levels[0].labels[i] if i >= 0 else "" for i in countries.classes(points)[:, 0]]
    assert names == ["France", "France", "Japan", "Australia", ""]
    france = countries.levels[0].labels.index("France")
    assert countries.counts[0][france] == 2
    np.testing.assert_allclose(countries.levels[0].centers_deg[france], (47.32, 3.63), atol=0.05)
    with pytest.raises(DataError, match="at least 2 countries, got 1"):
        country_partitioning(points[:2])
