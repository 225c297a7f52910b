"""`geoexplain locate` against the Python interface."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import geoexplain
from geoexplain.locator.model import GeoModel
from geoexplain.view.place_path import answer_name, headline, path_record
from geoexplain.view.radius_words import reach_words
from geoexplain.words import width_text
from tests.cli.conftest import Run, Terminal, smooth_colours

KEYS = [
    "image", "model", "in_domain", "domain_score", "latitude", "longitude", "place", "cell", "label", "probability",
    "density", "density_by_area", "half_radius_km", "radius_90_km", "cell_width_km", "rule", "density_at_scale",
    "localizable", "search_within_cell", "places", "top",
]  # fmt: skip


def test_json_holds_what_the_python_interface_says(
    run: Run, model: GeoModel, model_file: Path, photos: list[Path]
) -> None:
    outcome = run("locate", *photos, "--model", model_file, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    records = [json.loads(line) for line in outcome.out.splitlines()]
    assert [record["image"] for record in records] == [str(photo) for photo in photos]
    for record, photo in zip(records, photos, strict=True):
        prediction = geoexplain.locate(photo, model)
        best = np.argsort(-prediction.probabilities)[:5]
        assert list(record) == KEYS
        assert record["model"] == "random"
        assert (record["latitude"], record["longitude"]) == (prediction.lat_deg, prediction.lon_deg)
        assert record["cell"] == best[0] == prediction.probabilities.argmax()
        assert record["label"] == f"cell {best[0]}"
        assert record["probability"] == prediction.probabilities.max()
        assert record["density"] == {str(km): share for km, share in prediction.density_by_km.items()}
        assert list(record["density"]) == ["1", "25", "200", "750", "2500"]
        assert record["density_by_area"] == {str(km): share for km, share in prediction.density_by_area.items()}
        assert record["half_radius_km"] == prediction.half_radius_km < record["radius_90_km"] == prediction.radius_90_km
        assert record["cell_width_km"] == prediction.cell_width_km
        assert record["rule"] == {"scale_km": model.rule.scale_km, "threshold": model.rule.threshold}
        assert record["density_at_scale"] == prediction.density_by_km[model.rule.scale_km]
        assert record["localizable"] is prediction.localizable
        assert record["search_within_cell"] is None
        assert record["place"] == answer_name(model.trees, model.partition.labels, prediction)
        assert record["places"] == [path_record(tree, prediction) for tree in model.trees]
        assert [row["cell"] for row in record["top"]] == best.tolist()
        for row in record["top"]:
            lat, lon = model.partition.centers_deg[row["cell"]]
            assert row == {
                "cell": row["cell"],
                "label": f"cell {row['cell']}",
                "latitude": lat,
                "longitude": lon,
                "probability": prediction.probabilities[row["cell"]],
            }


def test_text_names_place_point_and_best_cells(run: Run, model: GeoModel, model_file: Path, photos: list[Path]) -> None:
    outcome = run("locate", photos[0], "--model", model_file)
    prediction = geoexplain.locate(photos[0], model)
    lines = outcome.out.splitlines()
    assert lines[0] == f"{photos[0]}: {headline(model.trees, model.partition.labels, prediction)}"
    assert f"{prediction.lat_deg:.4f},{prediction.lon_deg:.4f}" in lines[1]
    assert lines[3].endswith(f"{100 * prediction.probabilities.max():.1f} %")
    width = width_text(prediction.cell_width_km)
    assert lines[4].startswith(
        f"  within       one cell, about {width} wide {100 * prediction.probabilities.max():.1f} %"
    )
    assert lines[5] == f"  reach        {reach_words(prediction)}"
    (territory,) = (path_record(tree, prediction) for tree in model.trees)
    steps = [f"{step['label']} {100 * step['share']:.1f} %" for step in territory["path"]]
    assert lines[6].startswith(f"  territory    {' › '.join(steps)}")
    assert lines[7].split()[1] == ("yes:" if prediction.localizable else "no:")
    counted = f"{100 * prediction.density_by_km[25]:.1f} % in cells centred within 25 km of the best one"
    said = f"{counted}, threshold 20 %"
    assert lines[7].endswith(said)
    assert [line.split()[0] for line in lines[8:]] == ["1.", "2.", "3.", "4.", "5."]
    for cell, line in zip(prediction.top(5), lines[8:], strict=True):
        assert f" cell {cell} (" in line
        assert f"{100 * prediction.probabilities[cell]:.1f} %" in line


def test_one_bad_image_does_not_stop_the_others(run: Run, model_file: Path, photos: list[Path]) -> None:
    bad = photos[0].with_name("bad.png")
    bad.write_bytes(photos[0].read_bytes()[:200])
    missing = bad.with_name("missing.png")
    words = ["locate", bad, photos[1], missing, photos[2], "--model", model_file]
    outcome = run(*words, "--json")
    assert outcome.code == 1
    first, second, third, fourth = (json.loads(line) for line in outcome.out.splitlines())
    assert list(first) == list(third) == ["image", "error"]
    assert first["image"] == str(bad)
    assert first["error"].startswith("bad.png: expected a whole image, got one that is damaged")
    assert "No such file" in third["error"]
    assert [second["image"], fourth["image"]] == [str(photo) for photo in photos[1:]]
    assert list(second) == list(fourth) == KEYS
    complaints = outcome.err.splitlines()
    assert complaints[0].startswith(f"geoexplain: {bad}: expected a whole image")
    assert complaints[1].startswith(f"geoexplain: {missing}: expected a readable image file")
    assert len(complaints) == 2
    spoken = run(*words)
    assert spoken.code == 1
    assert spoken.err == outcome.err
    assert sum(not line.startswith(" ") for line in spoken.out.splitlines()) == 2


def test_a_name_that_starts_with_a_hyphen(
    run: Run, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    smooth_colours(0, 80, 80).save("-12.5,30.png")
    outcome = run("locate", "--model", model_file, "--json", "--", "-12.5,30.png")
    assert json.loads(outcome.out)["image"] == "-12.5,30.png"
    assert run("locate", "--model", model_file, "./-12.5,30.png").code == 0


def test_a_name_cannot_command_the_terminal(run: Run, model_file: Path, tmp_path: Path) -> None:
    evil = tmp_path / "\x1b[2J\nok.png"
    smooth_colours(0, 80, 80).save(evil)
    outcome = run("locate", evil, tmp_path / "\x1b]0;x", "--model", model_file)
    assert outcome.code == 1
    assert "\x1b" not in outcome.out + outcome.err
    assert json.loads(run("locate", evil, "--model", model_file, "--json").out)["image"] == str(evil)


@pytest.mark.parametrize("name", ["earth-views-b9", "missing.safetensors"])
def test_an_unknown_model_is_refused(
    name: str, run: Run, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOEXPLAIN_HOME", str(tmp_path / "home"))
    outcome = run("locate", photos[0], "--model", name)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("geoexplain: expected a model name (earth-views-lite0) or the path")


def test_a_file_that_is_no_model_is_refused(run: Run, photos: list[Path]) -> None:
    outcome = run("locate", photos[0], "--model", photos[1])
    assert (outcome.code, outcome.out) == (2, "")
    assert "expected a safetensors file" in outcome.err


def test_a_bar_shows_on_a_terminal_for_several_images(
    run: Run, model_file: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", Terminal())
        outcome = run("locate", *photos, "--model", model_file, "--json")
        assert "3/3" in sys.stderr.getvalue()
    assert len(outcome.out.splitlines()) == 3
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", Terminal())
        run("locate", photos[0], "--model", model_file)
        assert sys.stderr.getvalue() == ""
