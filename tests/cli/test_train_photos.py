"""`geoexplain train photos` from a folder and a partitioning to a model that answers, and what it refuses at once."""

import csv
import json
from pathlib import Path

import pytest

from geoexplain.cli import main
from geoexplain.cli.train_run import parse_phases
from geoexplain.geography.kmeans_partitioning import build_kmeans
from geoexplain.geography.partition_files import write_partitioning
from geoexplain.training.settings import Phase
from tests.training.worlds import drawn

QUICK = ["--architecture", "test_efficientnet", "--phases", "32:16:160", "--workers", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 photos, one of them broken, a table of where they were taken, and a partitioning of 6 cells in 3."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "photos").mkdir()
    photos = drawn(60)
    with (folder / "photos.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "latitude", "longitude"])
        for row, (lat, lon) in enumerate(photos.positions_deg):
            photos.read(row).save(folder / "photos" / f"{row}.png")
            table.writerow([f"{row}.png", lat, lon])
        table.writerow(["gone.png", 1, 2])
    (folder / "photos" / "7.png").write_bytes(b"not a picture")
    write_partitioning(build_kmeans(photos.positions_deg, [3, 6]), folder / "cells")
    return folder


def words(world: Path, out: Path, *more: str) -> list[str]:
    source = [str(world / "photos"), "--manifest", str(world / "photos.csv"), "--partition", str(world / "cells")]
    return ["train", "photos", *source, "--out", str(out), *QUICK, "--shares", "0.6,0.2,0.2", *more]


def test_a_model_is_trained_released_and_evaluated_both_ways(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    embedding = ["--embedding", "--near-km", "20", "--embedding-steps", "3", "--embedding-width", "8"]
    assert main(words(world, out, "--pretrain-countries", "1", *embedding)) == 0
    said = capsys.readouterr().out
    assert ", 1 left out (see left-out.csv), validating" in said
    assert "6 in 3 cells" in said
    assert "validation at 32 px, f*:" in said
    model = out / "release" / "mine.safetensors"
    card = json.loads(model.with_suffix(".card.json").read_text(encoding="utf-8"))
    assert card["training"]["photos_seen"] == 160
    assert card["levels"] == [6, 3]
    assert (card["embedding"], card["bytes"]) == (8, model.stat().st_size)
    assert set(card["validation"]) == {"f", "f*"}
    rows = {part: (out / f"{part}.csv").read_text().splitlines()[1:] for part in ("train", "validation", "test")}
    for part in ("validation", "test"):
        readable = sum(not row.startswith("7.png,") for row in rows[part])
        assert {way: found["photos"] for way, found in card[part].items()} == {"f": readable, "f*": readable}
        assert f"mine on {len(rows[part])} {part} photos" in said
    assert sum(len(part) for part in rows.values()) == 60
    assert (out / "left-out.csv").read_text().splitlines() == ["photo,reason", "gone.png,no such file"]
    assert len({row for part in rows.values() for row in part}) == 60
    evaluate = ["evaluate", "photos", "--manifest", str(out / "test.csv"), "--images", str(world / "photos")]
    assert main([*evaluate, "--model", str(model), "--out", str(tmp_path / "ev"), "--f-and-fstar"]) in {0, 1}
    said = capsys.readouterr().out
    assert "mine (f) on test.csv" in said
    assert "mine (f*) on test.csv" in said
    assert (tmp_path / "ev" / "f-star" / "summary.json").exists()


def test_what_cannot_work_is_refused_before_a_photo_is_looked_at(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*more: str, out: str = "run") -> str:
        assert main(words(world, tmp_path / out, *more)) == 2
        return capsys.readouterr().err

    assert "expected a training checkpoint at" in refused("--resume")
    assert "--shares: expected three numbers above 0" in refused("--shares", "0.5,0.5,0.5")
    assert "--name: expected small letters" in refused("--name", "../up")
    assert "expected the name of a timm EfficientNet" in refused("--architecture", "vgg16")
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / "checkpoint.pt").touch()
    assert "expected a folder without a run, found one: add --resume" in refused()
    assert not (tmp_path / "run" / "fingerprints.npz").exists()


def test_phases_are_in_photos_or_epochs() -> None:
    assert parse_phases("96:64:16000,224:32:2.5e", unit="photos", epochs=True) == (
        Phase(96, 64, images=16_000),
        Phase(224, 32, epochs=2.5),
    )
