"""Evaluating photos: every one once, the answers those of `locate`, and a killed run as good as a whole one."""

import csv
import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from geoexplain.errors import DataError
from geoexplain.evaluation.figures import RADII_KM, table_of
from geoexplain.evaluation.fingerprint import model_fingerprint
from geoexplain.evaluation.photos import PhotoQuestion, evaluate_photos
from geoexplain.evaluation.record import ANSWERS, SETTINGS, TABLE
from geoexplain.explainer.explanation import locate
from geoexplain.locator.model import LocalizableRule
from geoexplain.locator.retrieval import SearchWithinCell
from geoexplain.photos import Manifest, Photo
from geoexplain.training.release import build_model
from tests.evaluation.photos import OnePhotoPerCell, counting_model, manifest_of, write_photos
from tests.locator.models import CENTERS, LABELS, small_model
from tests.training.worlds import world_network, world_partitioning, world_settings

RULE = LocalizableRule(scale_km=750, threshold=0.4)
FILES = (SETTINGS, ANSWERS, TABLE)


def kilometres(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance by the law of cosines, in plain Python."""
    (lat1, lon1), (lat2, lon2) = (map(math.radians, point) for point in (a, b))
    cosine = math.sin(lat1) * math.sin(lat2) + math.cos(lat1) * math.cos(lat2) * math.cos(lon1 - lon2)
    return 6371 * math.acos(max(-1, min(1, cosine)))


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / TABLE).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def killed_after(photos: int) -> Callable[[int, int], None]:
    def progress(done: int, _total: int) -> None:
        if done >= photos:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("crops", [1, 5])
def test_every_readable_photo_goes_through_the_network_once(crops: int, tmp_path: Path) -> None:
    manifest, images = manifest_of(write_photos(tmp_path, 23, unreadable=(4, 17), missing=2))
    model, passes = counting_model()
    heard: list[tuple[int, int]] = []
    question = PhotoQuestion(RULE, crops=crops, batch=10)
    results = evaluate_photos(model, manifest, images, question, tmp_path / "out", progress=lambda *x: heard.append(x))
    assert sum(passes) == 21 * crops
    assert max(passes) <= 10
    assert [r.id for r in results] == [f"{i}.png" for i in range(23)] + ["gone0.png", "gone1.png"]
    assert [r.id for r in results if r.status == "unreadable"] == ["4.png", "17.png"]
    assert [r.id for r in results if r.status == "missing"] == ["gone0.png", "gone1.png"]
    assert heard[0] == (0, 23)
    assert heard[-1] == (23, 23)
    assert heard == sorted(set(heard))
    assert "expected a JPEG, PNG" in (results[4].reason or "")


@pytest.mark.parametrize(("crops", "how"), [(1, "max"), (5, "max"), (5, "mean")])
def test_the_answers_are_those_of_locate(crops: int, how: str, tmp_path: Path) -> None:
    manifest, images = manifest_of(write_photos(tmp_path, 9))
    results = evaluate_photos(
        small_model(), manifest, images, PhotoQuestion(RULE, crops=crops, how=how, batch=4), tmp_path / "out"
    )
    for photo, result in zip(manifest.photos, results, strict=True):
        alone = locate(photo.file, small_model(), rule=RULE, crops=crops, how=how)
        assert (result.cell, result.label) == (alone.cell, LABELS[alone.cell])
        assert result.predicted_lat_deg == pytest.approx(alone.lat_deg, abs=1e-4)
        assert result.predicted_lon_deg == pytest.approx(alone.lon_deg, abs=1e-4)
        assert result.probability == pytest.approx(alone.probabilities[alone.cell], rel=1e-4)
        assert result.density == pytest.approx(alone.density, rel=1e-4)
        assert result.localizable == alone.localizable


def test_the_figures_are_those_of_the_table_on_disk(tmp_path: Path) -> None:
    manifest, images = manifest_of(write_photos(tmp_path, 40, unreadable=(3,), missing=1))
    gallery = OnePhotoPerCell(
        {0: (11.0, 21.0), 1: (-33.9, 151.2), 2: (64.1, -21.9)}, small_model().backbone.feature_dim
    )
    question = PhotoQuestion(RULE, SearchWithinCell(gallery), batch=8)
    found = table_of(evaluate_photos(small_model(), manifest, images, question, tmp_path / "out"))
    rows = [row for row in rows_of(tmp_path / "out") if row["status"] == "ok"]
    assert len(rows) == 39
    for title, prefix, column in (
        ("predicted point", "predicted", "error_km"),
        ("Search within Cell", "swc", "swc_error_km"),
    ):
        for group, inside in (("all", ("true", "false")), ("localizable", ("true",)), ("not localizable", ("false",))):
            errors = []
            for row in rows:
                truth = float(row["lat_deg"]), float(row["lon_deg"])
                answer = float(row[f"{prefix}_lat_deg"]), float(row[f"{prefix}_lon_deg"])
                assert float(row[column]) == pytest.approx(kilometres(truth, answer), abs=1e-3)
                if row["localizable"] in inside:
                    errors.append(kilometres(truth, answer))
            figures = found[title][group]
            assert figures.photos == len(errors)
            if errors:
                assert figures.median_error_km == pytest.approx(float(np.median(errors)), abs=1e-3)
                for radius in RADII_KM:
                    share = sum(error < radius for error in errors) / len(errors)
                    assert figures.accuracy_by_km[radius] == share


def test_both_columns_come_from_one_pass(tmp_path: Path) -> None:
    manifest, images = manifest_of(write_photos(tmp_path, 20))
    model, passes = counting_model()
    plain = evaluate_photos(model, manifest, images, PhotoQuestion(RULE, batch=8), tmp_path / "plain")
    top = plain[0].cell
    assert top is not None
    gallery = OnePhotoPerCell({top: (48.8584, 2.2945)}, small_model().backbone.feature_dim)
    passes.clear()
    both = evaluate_photos(
        model, manifest, images, PhotoQuestion(RULE, SearchWithinCell(gallery), batch=8), tmp_path / "both"
    )
    assert sum(passes) == 20
    assert len(gallery.searched) == 20
    for one, two in zip(plain, both, strict=True):
        assert two.error_km == one.error_km
        if two.cell == top:  # its only photo is the answer
            assert (two.swc_lat_deg, two.swc_lon_deg) == pytest.approx((48.8584, 2.2945))
            truth = (two.lat_deg or 0.0, two.lon_deg or 0.0)
            assert two.swc_error_km == pytest.approx(kilometres((48.8584, 2.2945), truth), abs=1e-3)
        else:  # nobody to ask: the answer stays
            assert two.swc_error_km == two.error_km


@pytest.mark.parametrize("killed", [1, 7, 20, 29])
def test_a_killed_run_ends_like_a_whole_one(killed: int, tmp_path: Path) -> None:
    manifest, images = manifest_of(write_photos(tmp_path, 30, unreadable=(0, 11, 29), missing=1))
    question = PhotoQuestion(RULE, batch=4)
    model, passes = counting_model()
    whole = evaluate_photos(model, manifest, images, question, tmp_path / "whole")
    assert sum(passes) == 27
    passes.clear()
    with pytest.raises(KeyboardInterrupt):
        evaluate_photos(model, manifest, images, question, tmp_path / "killed", progress=killed_after(killed))
    before = sum(passes)
    # A kill in the middle of a line: that batch counts as never answered.
    with (tmp_path / "killed" / ANSWERS).open("a", encoding="utf-8") as file:
        file.write('[[28, [64, 64], {"id": "28.p')
    heard: list[int] = []
    again = evaluate_photos(
        model, manifest, images, question, tmp_path / "killed", resume=True, progress=lambda done, _: heard.append(done)
    )
    assert heard[0] >= killed
    assert 0 < before <= sum(passes) == 27
    assert again == whole
    for name in FILES:
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    passes.clear()
    assert evaluate_photos(model, manifest, images, question, tmp_path / "killed", resume=True) == whole
    assert passes == []


def test_the_table_grows_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    manifest, images = manifest_of(write_photos(tmp_path, 30))
    with pytest.raises(KeyboardInterrupt):
        evaluate_photos(
            small_model(), manifest, images, PhotoQuestion(RULE, batch=4), tmp_path / "out", progress=killed_after(16)
        )
    saved = [row["id"] for row in rows_of(tmp_path / "out")]
    assert 0 < len(saved) <= 16
    assert saved == [f"{i}.png" for i in range(len(saved))]
    answered = {row[0] for line in (tmp_path / "out" / ANSWERS).read_text().splitlines() for row in json.loads(line)}
    assert f"{len(saved)}.png" not in {f"{i}.png" for i in answered}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"batch": 5}, "expected batch 5, got 4"),
        ({"crops": 5}, "expected crops 5, got 1"),
        ({"rule": LocalizableRule(25, 0.4)}, "expected scale_km 25, got 750"),
        ({"rule": LocalizableRule(750, 0.5)}, "expected threshold 0.5, got 0.4"),
    ],
)
def test_other_settings_do_not_go_on(change: dict[str, object], named: str, tmp_path: Path) -> None:
    manifest, images = manifest_of(write_photos(tmp_path, 3))
    evaluate_photos(small_model(), manifest, images, PhotoQuestion(RULE, batch=4), tmp_path / "out")
    before = {name: (tmp_path / "out" / name).read_bytes() for name in FILES}
    other = PhotoQuestion(**{"rule": RULE, "batch": 4, **change})  # type: ignore[arg-type]
    with pytest.raises(DataError, match=named):
        evaluate_photos(small_model(), manifest, images, other, tmp_path / "out", resume=True)
    assert {name: (tmp_path / "out" / name).read_bytes() for name in FILES} == before


def test_another_model_or_manifest_does_not_go_on(tmp_path: Path) -> None:
    manifest, images = manifest_of(write_photos(tmp_path, 4))
    question = PhotoQuestion(RULE)
    evaluate_photos(small_model(), manifest, images, question, tmp_path / "out")
    with pytest.raises(DataError, match="expected model_sha256"):
        evaluate_photos(small_model(8), manifest, images, question, tmp_path / "out", resume=True)
    turned = Manifest((*manifest.photos[1:], manifest.photos[0]))
    with pytest.raises(DataError, match="expected manifest_sha256"):
        evaluate_photos(small_model(), turned, images, question, tmp_path / "out", resume=True)
    with pytest.raises(DataError, match="expected photos 3, got 4"):
        evaluate_photos(small_model(), Manifest(manifest.photos[1:]), images, question, tmp_path / "out", resume=True)
    with pytest.raises(DataError, match="add --resume"):
        evaluate_photos(small_model(), manifest, images, question, tmp_path / "out")


def test_the_product_of_partitionings_is_another_way_of_answering() -> None:
    settings, cells = world_settings(), world_partitioning()
    network = world_network(settings, cells)
    found = []
    for product in (False, True, False):
        model = build_model(network, cells, name="world", size_px=48, product=product, device="cpu")
        found.append(model_fingerprint(model))
    assert found[0] == found[2] != found[1]


@pytest.mark.parametrize("text", ["no settings", "3", "{", "[1]"])
def test_damaged_settings_are_said_so(text: str, tmp_path: Path) -> None:
    manifest, images = manifest_of(write_photos(tmp_path, 2))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / SETTINGS).write_text(text)
    with pytest.raises(DataError, match="could not read them"):
        evaluate_photos(small_model(), manifest, images, PhotoQuestion(RULE), tmp_path / "out", resume=True)


@pytest.mark.parametrize(
    "line", ["[[99, null, {}]]", "[[0, [1, 2], {}]]", '[[0, null, {"id": "a", "x": 1}]]', "7", "x"]
)
def test_answers_of_something_else_are_refused(line: str, tmp_path: Path) -> None:
    manifest, images = manifest_of(write_photos(tmp_path, 2))
    evaluate_photos(small_model(), manifest, images, PhotoQuestion(RULE), tmp_path / "out")
    (tmp_path / "out" / ANSWERS).write_text(line + "\n")
    with pytest.raises(DataError, match=r"answers\.jsonl: expected answers of this evaluation's"):
        evaluate_photos(small_model(), manifest, images, PhotoQuestion(RULE), tmp_path / "out", resume=True)


def test_a_photo_that_vanishes_is_unreadable_and_named(tmp_path: Path) -> None:
    manifest, images = manifest_of(write_photos(tmp_path, 3))
    manifest.photos[1].file.unlink()
    results = evaluate_photos(small_model(), manifest, images, PhotoQuestion(RULE), tmp_path / "out")
    assert [r.status for r in results] == ["ok", "unreadable", "ok"]
    assert results[1].file == "1.png"
    assert str(tmp_path) not in (results[1].reason or "")


def test_nothing_to_ask_and_senseless_questions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"expected photos of the manifest in .*, found none \(rows without a file: 1\)"
    ):
        evaluate_photos(small_model(), Manifest((), ("a",)), tmp_path, PhotoQuestion(RULE), tmp_path / "out")
    for wrong in ({"crops": 3}, {"how": "min"}, {"batch": 0}):
        with pytest.raises(DataError, match="expected 1 or 5 crops"):
            PhotoQuestion(RULE, **wrong)  # type: ignore[arg-type]


def test_the_cells_stand_for_what_they_are(tmp_path: Path) -> None:
    manifest, images = manifest_of(write_photos(tmp_path, 5))
    for result in evaluate_photos(small_model(), manifest, images, PhotoQuestion(RULE), tmp_path / "out"):
        assert result.cell is not None
        # 300 km around a cell of these five there is no other: the mean is its centre
        assert (result.predicted_lat_deg, result.predicted_lon_deg) == pytest.approx(CENTERS[result.cell], abs=1e-6)


def test_a_name_that_is_no_text_is_no_obstacle(tmp_path: Path) -> None:
    manifest, images = manifest_of(write_photos(tmp_path, 1))
    odd = images / os.fsdecode(b"caf\xe9.png")
    manifest.photos[0].file.rename(odd)
    photo = Photo("cafe", odd, 1.0, 2.0)
    question = PhotoQuestion(RULE)
    (result,) = evaluate_photos(small_model(), Manifest((photo,)), images, question, tmp_path / "out")
    assert result.status == "ok"
    assert rows_of(tmp_path / "out")[0]["file"] == "caf\\udce9.png"
    again = evaluate_photos(small_model(), Manifest((photo,)), images, question, tmp_path / "out", resume=True)
    assert again == (result,)
