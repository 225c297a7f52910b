"""What tuned weights gain on other images, against the evaluation of explanations, and by hand."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.evaluation.explanations import Examination
from geoexplain.evaluation.pictures import Source, photo_source, view_source
from geoexplain.evaluation.tuning import REFERENCES, held_out_gains, interval, split, tuning_cases, verdict
from geoexplain.explainer.cams import ExplanationCancelledError
from geoexplain.explainer.intervals import mean_interval
from geoexplain.explainer.tuning import Setting
from geoexplain.imagery.earth import load_imagery
from geoexplain.locator.model import GeoModel
from geoexplain.locator.tuned import HeldOut, Interval
from tests.evaluation.photos import manifest_of, write_photos
from tests.explainer.networks import random_model
from tests.imagery.earths import write_png

STEPS = 3


@pytest.fixture(scope="module")
def model() -> GeoModel:
    return random_model(30)


@pytest.fixture(scope="module")
def source(model: GeoModel, tmp_path_factory: pytest.TempPathFactory) -> Source:
    coarse = np.random.default_rng(0).integers(0, 256, (8, 16, 3), dtype=np.uint8)
    earth = write_png(tmp_path_factory.mktemp("earth"), coarse.repeat(16, 0).repeat(16, 1))
    return view_source(load_imagery([earth], model.device), model.preprocess, views=5, seed=2)


def test_a_split_parts_the_images() -> None:
    own, others = split(200, 0.75, seed=1)
    assert own | others == set(range(200))
    assert (len(own), len(others)) == (50, 150)
    assert (own, others) == split(200, 0.75, seed=1) != split(200, 0.75, seed=2)
    assert split(3, 0) == ({0, 1, 2}, set())
    assert [len(part) for part in split(2, 0.01)] == [1, 1]
    assert [len(part) for part in split(2, 0.99)] == [1, 1]
    for total, share in ((1, 0.5), (0, 0), (4, 1), (4, -0.1), (4, float("nan"))):
        with pytest.raises(DataError, match="expected"):
            split(total, share)


def test_gains_are_the_differences_that_an_evaluation_finds(model: GeoModel, source: Source) -> None:
    chosen = {0, 2, 3}
    setting = Setting("stage", "max", (1.0,) * 7)  # equal weights, which is one of the references
    found, checked = held_out_gains(model, source, chosen, "grad-cam", setting, steps=STEPS)
    examination = Examination(methods=REFERENCES, metrics=("deletion", "insertion", "road-morf"), steps=STEPS)
    answers = [examination.answer(model, source.picture(index)).values for index in sorted(chosen)]
    lost = {name: np.array([-a[name]["road-morf@5"] for a in answers]) for name in REFERENCES}
    assert (checked.objective, checked.images) == ("road@5", 3)
    for name in REFERENCES:
        wanted = (lost["combi-cam-all"] - lost[name]).mean()
        assert checked.gains[name].mean == pytest.approx(wanted, abs=2e-6)

    def values(name: str) -> np.ndarray:
        return np.array([a[name][f"insertion@{STEPS}"] - a[name][f"deletion@{STEPS}"] for a in answers])

    own = values("combi-cam-all")
    assert (found.images, found.objective) == (3, "insertion-deletion@3")
    assert found.value.mean == pytest.approx(own.mean(), abs=2e-6)
    assert set(found.gains) == set(REFERENCES)
    assert found.gains["combi-cam-all"] == Interval(0, 0, 0)
    for name in REFERENCES:
        difference = own - values(name)
        wanted = (difference.mean(), *mean_interval(difference))
        gain = found.gains[name]
        assert (gain.mean, gain.low, gain.high) == pytest.approx(wanted, abs=2e-6)
    assert found.gains["gaussian"] != found.gains["grad-cam"] != Interval(0, 0, 0)


def test_only_the_chosen_images_are_looked_at(model: GeoModel, source: Source) -> None:
    heard: list[tuple[int, int]] = []
    cases = tuning_cases(model, source, {1, 4}, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(1, 2), (2, 2)]
    for case, index in zip(cases, (1, 4), strict=True):
        np.testing.assert_array_equal(case.subject.tensor.numpy(), source.picture(index).tensor)
    with pytest.raises(ExplanationCancelledError):
        tuning_cases(model, source, {1}, cancelled=lambda: True)
    with pytest.raises(ExplanationCancelledError):
        held_out_gains(model, source, {1}, "grad-cam", Setting("stage", "max", (1.0,) * 7), cancelled=lambda: True)


def test_flat_maps_are_no_images_to_test_on(model: GeoModel, source: Source) -> None:
    nothing = Setting("stage", "max", (0.0,) * 7)
    with pytest.raises(DataError, match="expected a held-out image with something to explain"):
        held_out_gains(model, source, {0}, "grad-cam", nothing, steps=STEPS)


def test_every_gain_is_of_the_same_images(model: GeoModel, tmp_path: Path) -> None:
    # Of a photo of one colour nothing but its edges is flat: it is then no image to compare on.
    manifest, images = manifest_of(write_photos(tmp_path, 3))
    Image.new("RGB", (80, 80), (90, 120, 60)).save(images / "1.png")
    photos = photo_source(manifest, images, model.preprocess)
    setting = Setting("stage", "max", (1.0,) * 7)

    def found(chosen: set[int], *references: str) -> HeldOut:
        return held_out_gains(model, photos, chosen, "grad-cam", setting, steps=STEPS, references=references)[0]

    assert found({0, 1, 2}, "gaussian").images == 3
    both = found({0, 1, 2}, "gaussian", "edges")
    assert both == found({0, 2}, "gaussian", "edges")
    assert (both.images, both.on) == (2, f"2 other images of {photos.title}")
    alone = found({1}, "gaussian", "edges")  # what explains nothing anywhere takes no image away
    assert (alone.images, tuple(alone.gains)) == (1, ("gaussian",))


def test_a_random_map_is_no_more_coherent_than_in_an_evaluation(model: GeoModel, source: Source) -> None:
    setting = Setting("stage", "max", (1.0,) * 7)
    found, _ = held_out_gains(model, source, {1}, "grad-cam", setting, objective="adcc", references=("random",))
    examination = Examination(methods=("combi-cam-all", "random"), metrics=("adcc",))
    values = examination.answer(model, source.picture(1)).values
    assert values["random"]["adcc"] > 0
    assert found.value.mean == pytest.approx(values["combi-cam-all"]["adcc"], abs=2e-6)
    gain = values["combi-cam-all"]["adcc"] - values["random"]["adcc"]
    assert found.gains["random"].mean == pytest.approx(gain, abs=2e-6)


def test_verdicts_and_intervals_by_hand() -> None:
    assert interval(np.array([0.25] * 4)) == Interval(0.25, 0.25, 0.25)
    assert verdict(Interval(0.2, 0.1, 0.3), 10) == "better"
    assert verdict(Interval(0.2, 0.0, 0.3), 10) == "no gain"
    assert verdict(Interval(0.2, -0.1, 0.3), 10) == "no gain"
    assert verdict(Interval(-0.2, -0.3, -0.1), 10) == "worse"
    assert verdict(Interval(0.2, 0.1, 0.3), 9) == "too few"
    assert interval(np.array([0.3])) == Interval(0.3, -2, 2)  # of one image nothing is known
