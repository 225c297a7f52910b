"""Sanity checks over a set: every value that of the explainer, means and verdicts by hand, resuming."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geoexplain.errors import DataError
from geoexplain.evaluation.evaluate import evaluate
from geoexplain.evaluation.pictures import Source, photo_source
from geoexplain.evaluation.record import TABLE
from geoexplain.evaluation.sanity import ImageSanity, Randomisation
from geoexplain.explainer.explanation import explain
from geoexplain.explainer.intervals import mean_interval
from geoexplain.explainer.sanity import sanity_checks, weighted_parts
from geoexplain.explainer.sanity_verdict import mean_over_first
from geoexplain.explainer.table import EXPLANATIONS, TUNED
from geoexplain.locator.model import GeoModel
from geoexplain.locator.tuned import StageWeights
from tests.evaluation.photos import manifest_of, write_photos
from tests.locator.models import small_model

QUICK = Randomisation(methods=("grad-cam", "layer-cam"), draws=2, seed=5)
ALONE = Randomisation(methods=("grad-cam",), draws=2)


@pytest.fixture(scope="module")
def model() -> GeoModel:
    return small_model()


@pytest.fixture
def photos(model: GeoModel, tmp_path: Path) -> Source:
    manifest, images = manifest_of(write_photos(tmp_path / "set", 3, unreadable=(1,), missing=1))
    return photo_source(manifest, images, model.preprocess)


def rows_in(out: Path) -> list[dict[str, str]]:
    with (out / TABLE).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_value_is_that_of_the_explainer_and_in_the_table(model: GeoModel, photos: Source, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    answers = evaluate(QUICK, model, photos, tmp_path / "out")
    assert [answer.status for answer in answers] == ["ok", "unreadable", "ok", "missing"]
    rows = rows_in(tmp_path / "out")
    steps = [name for name, _ in weighted_parts(model)]
    assert len(rows) == 2 * 2 * len(steps) + 2
    for index, answer in ((0, answers[0]), (2, answers[2])):
        explanation = explain(tmp_path / "set" / "images" / str(answer.file), model)
        candidates = {name: EXPLANATIONS[name] for name in QUICK.methods}
        # Every image has networks of its own.
        checks = sanity_checks(
            model, explanation.tensor, explanation.target, candidates, draws=2, cascades=2, seed=(5, index)
        )
        for name, check in checks.items():
            # Photos of a set come channels last, and the last digits then decide between pixels of almost equal rank.
            one = check.compared
            for kept, found in (
                (answer.correlations, one.correlations),
                (answer.chances, one.chances),
                (answer.similarities, one.similarities),
            ):
                np.testing.assert_allclose(np.array(kept[name], float), found, atol=1e-3)
            mine = [row for row in rows if (row["id"], row["method"]) == (answer.id, name)]
            assert [row["randomised"] for row in mine] == answer.steps == steps
            assert [row["step"] for row in mine] == [str(step) for step in range(1, len(steps) + 1)]
            kept = np.array(answer.correlations[name], float)
            for column, values in (
                ("rank_correlation", kept),
                ("absolute_rank_correlation", np.abs(kept)),
                ("resemblance", one.resemblances()),
            ):
                shown = [float(row[column] or "nan") for row in mine]
                np.testing.assert_allclose(shown, mean_over_first(values), atol=2e-3)
            assert {row["verdict"] for row in mine} == {"too few"}  # of two draws
    assert all((value == before[name]).all() for name, value in model.network.state_dict().items())
    left = [(row["id"], row["status"], row["method"]) for row in rows if row["status"] != "ok"]
    assert left == [("1.png", "unreadable", ""), ("gone0.png", "missing", "")]


def test_a_resumed_run_ends_with_the_same_files(model: GeoModel, photos: Source, tmp_path: Path) -> None:
    whole = evaluate(QUICK, model, photos, tmp_path / "whole")

    def stop(done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(QUICK, model, photos, tmp_path / "out", progress=stop)
    assert evaluate(QUICK, model, photos, tmp_path / "out", resume=True) == whole
    assert (tmp_path / "out" / TABLE).read_bytes() == (tmp_path / "whole" / TABLE).read_bytes()
    with pytest.raises(DataError, match="expected draws 3, got 2"):
        evaluate(Randomisation(methods=QUICK.methods, draws=3, seed=5), model, photos, tmp_path / "out", resume=True)


def image(name: str, correlations: list[list[float | None]], verdict: str, chance: float | None = 0.2) -> ImageSanity:
    return ImageSanity(
        name,
        status="ok",
        steps=["head", "stem"],
        correlations={"grad-cam": correlations},
        chances={"grad-cam": [[chance, chance], [chance, chance]]},
        similarities={"grad-cam": [[0.5, 0.25], [0.5, 0.75]]},
        verdicts={"grad-cam": verdict},
    )


def test_means_over_images_by_hand() -> None:
    """Upside down and right way round are as much of the original; the mean of their signs would be nothing."""
    answers = [
        image("a", [[1.0, 0.8], [0.2, 0.8]], "too few"),  # left: 1 and 0 of the head, 0.75 twice of the stem
        image("b", [[0.6, -0.76], [None, -0.76]], "survives"),  # 0.5 and 0; 0.7 twice
        ImageSanity("gone"),
    ]
    found = ALONE.findings(answers)["grad-cam"]
    np.testing.assert_allclose(found.resemblances, [0.375, 0.725])
    np.testing.assert_allclose(found.correlations, [0.6, 0.02])
    np.testing.assert_allclose(found.similarities, [0.5, 0.5])
    assert found.intervals[1] == pytest.approx(mean_interval(np.array([0.75, 0.7])))
    # Two images are too few, however well they agree; five are not.
    assert (found.verdict, found.images, found.verdicts) == ("too few", 2, {"survives": 1, "too few": 1})
    assert found.sentence.startswith("Grad-CAM: too few images to tell whether it depends on what was learnt, is ")
    assert found.sentence.endswith("3 more images should tell.")
    summary = ALONE.summary(answers, {"grad-cam": found}, {})
    assert summary["counts"] == {"evaluated": 2, "unreadable": 0, "failed": 0, "missing": 1}
    assert summary["methods"]["grad-cam"]["steps"][1]["resemblance"] == pytest.approx(0.725)
    assert summary["methods"]["grad-cam"]["more_images"] == 3
    more = ALONE.findings([*answers, *answers, answers[0]])["grad-cam"]
    assert more.verdict == "survives"
    assert "it survives random weights" in more.sentence
    assert "5 images; mean |ρ| 0.78, of unrelated maps 0.20; SSIM 0.50" in more.sentence


def test_one_image_has_no_interval_and_no_verdict() -> None:
    found = ALONE.findings([image("a", [[0.2, 0.2], [0.2, 0.2]], "too few")])
    one = found["grad-cam"]
    assert (one.verdict, one.found.more) == ("too few", 4)
    assert "(no interval; 1 image;" in one.sentence
    assert ALONE.summary([], found, {})["methods"]["grad-cam"]["steps"][0]["low"] is None


def test_a_method_whose_maps_are_flat_has_no_verdict_and_is_not_counted() -> None:
    flat = image("c", [[None, None], [None, None]], "none", chance=None)
    found = ALONE.findings([flat])["grad-cam"]
    assert (found.verdict, found.images) == ("none", 0)
    assert ALONE.summary([flat], {"grad-cam": found}, {})["methods"]["grad-cam"]["steps"][0]["low"] is None
    assert QUICK.findings([ImageSanity("gone")]) == {}
    both = ALONE.findings([flat, image("a", [[0.6, 0.6], [0.6, 0.6]], "too few")])
    np.testing.assert_allclose(both["grad-cam"].resemblances, 0.5)


def test_averages_leave_out_what_is_not_there() -> None:
    values = np.array([[1.0, np.nan, np.nan], [2.0, 4.0, np.nan]])
    np.testing.assert_array_equal(mean_over_first(values), [1.5, 4.0, np.nan])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"methods": ("edges",)}, "got edges"), ({"methods": ()}, "got none"), ({"draws": 0}, "at least 1 draw")],
)
def test_a_randomisation_that_cannot_be_is_refused(options: dict, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        Randomisation(**options)


def test_tuned_weights_that_are_those_of_grad_cam_do_as_grad_cam_does(photos: Source, tmp_path: Path) -> None:
    model = small_model()
    stages = len(model.backbone.stage_lengths)
    model.tuned = StageWeights(
        "grad-cam", "stage", "probability", "sum", (0.0,) * (stages - 1) + (1.0,), "adcc", "tests", 1
    )
    both = Randomisation(methods=("grad-cam", TUNED), draws=1, tuned=model.tuned)
    found = both.findings(evaluate(both, model, photos, tmp_path / "out"))
    np.testing.assert_array_equal(found[TUNED].resemblances, found["grad-cam"].resemblances)
    assert found[TUNED].sentence.startswith("Combi-CAM, tuned: ")
    others = replace(both, tuned=replace(model.tuned, weights=(1.0,) * stages))
    with pytest.raises(DataError, match="tuned"):  # an evaluation is not gone on with by other weights
        evaluate(others, model, photos, tmp_path / "out", resume=True)
