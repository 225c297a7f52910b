"""Models survive saving and loading, and files that do not fit are refused by file and key."""

import json
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from geoexplain.errors import CheckpointError, DataError
from geoexplain.geography.outline_files import write_outlines
from geoexplain.geography.placetree import PlaceTree
from geoexplain.geography.placetree_files import write_place_trees
from geoexplain.locator.checkpoints.cells import cells_file
from geoexplain.locator.checkpoints.description import FORMAT
from geoexplain.locator.checkpoints.native import describe, load_geoexplain, save_geoexplain
from geoexplain.locator.zoo import BUNDLED, load_model
from tests.locator.models import LABELS, saved, small_model

WEIGHT = "head.mixture_weights.weight"
COUNTER = "backbone.stem.1.num_batches_tracked"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return saved(small_model(), tmp_path)


def rewrite(file: Path, change: Callable[[dict[str, Tensor]], object], **metadata: str) -> None:
    tensors = load_file(file)
    change(tensors)
    given = {"format": FORMAT, "description": json.dumps(describe(small_model())), **metadata}
    save_file(tensors, file, metadata={key: value for key, value in given.items() if value})


def described(file: Path, **changes: object) -> None:
    description = {**describe(small_model()), **changes}
    kept = {key: value for key, value in description.items() if value is not ...}
    rewrite(file, lambda tensors: None, description=json.dumps(kept))


def test_a_model_survives_its_file(file: Path) -> None:
    before, after = small_model(), load_geoexplain(file, "cpu")
    assert describe(after) == describe(before)
    assert after.partition.labels == LABELS
    np.testing.assert_allclose(after.partition.centers_deg, before.partition.centers_deg, atol=1e-5)
    expected = before.network.state_dict()
    for key, value in after.network.state_dict().items():
        assert value.dtype == expected[key].dtype
        if key == "head.mvmf.mus":
            np.testing.assert_allclose(value, expected[key], atol=1e-5)
        elif value.is_floating_point():
            assert torch.equal(value, expected[key].half().float()), key
        else:
            assert torch.equal(value, expected[key]), key
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    # half precision keeps eleven bits of every weight
    torch.testing.assert_close(after.logits(images), before.logits(images), rtol=0.01, atol=0.02)
    assert before.logits(images).std() > 0.1


def test_the_file_holds_half_precision_and_no_directions(file: Path) -> None:
    tensors = load_file(file)
    assert "head.mvmf.mus" not in tensors
    assert {value.dtype for value in tensors.values()} == {torch.float16, torch.int64}
    assert file.stat().st_size < 2.2 * sum(value.numel() for value in tensors.values()) + 50_000


def test_what_half_precision_cannot_hold_is_kept(tmp_path: Path) -> None:
    model = small_model()
    with torch.no_grad():
        model.network.backbone.stem[1].running_var.fill_(3e5)
    after = load_geoexplain(saved(model, tmp_path), "cpu")
    assert after.network.backbone.stem[1].running_var.tolist() == [3e5] * len(
        model.network.backbone.stem[1].running_var
    )


def test_weights_that_share_memory_are_written_each(tmp_path: Path) -> None:
    model = small_model()
    norm = model.network.backbone.stem[1]
    norm.bias = norm.weight
    with torch.no_grad():
        norm.weight.fill_(0.75)
    facts = describe(model)
    save_geoexplain(model.network, facts, model.partition, tmp_path / "tied.safetensors", half=False)
    stored = load_file(tmp_path / "tied.safetensors")
    assert {float(value) for kind in ("weight", "bias") for value in stored[f"backbone.stem.1.{kind}"]} == {0.75}


def test_full_precision_is_kept(file: Path) -> None:
    rewrite(file, lambda tensors: tensors.update({WEIGHT: torch.full((5, tensors[WEIGHT].shape[1]), 1 / 3)}))
    assert load_geoexplain(file, "cpu").head.mixture_weights.weight.unique().item() == pytest.approx(1 / 3, rel=1e-7)


def test_a_read_model_is_frozen(file: Path) -> None:
    network = load_geoexplain(file, "cpu").network
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_the_scatter_around_the_point_is_kept(file: Path, tmp_path: Path) -> None:
    assert load_geoexplain(file, "cpu").sigma_km is None
    described(file, sigma_km=87.5)
    model = load_geoexplain(file, "cpu")
    assert model.sigma_km == 87.5
    folder = tmp_path / "again"
    folder.mkdir()
    assert load_geoexplain(saved(model, folder), "cpu").sigma_km == 87.5


def test_rule_and_refinement_may_be_left_out(file: Path) -> None:
    described(file, rule=..., refine_km=...)
    model = load_geoexplain(file, "cpu")
    assert (model.rule.scale_km, model.rule.threshold, model.refine_km) == (25, 0.2, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop(WEIGHT), f"key '{WEIGHT}' is missing"),
        (lambda t: t.update(extra=torch.zeros(1)), "unexpected key 'extra'"),
        (lambda t: t.update({WEIGHT: torch.zeros(6, 3)}), rf"key '{WEIGHT}' has shape \(6, 3\), expected \(5, \d+\)"),
        (lambda t: t.update({WEIGHT: t[WEIGHT].T.contiguous()}), rf"key '{WEIGHT}' has shape \(\d+, 5\), expected"),
        (lambda t: t.update({WEIGHT: t[WEIGHT].double()}), f"key '{WEIGHT}' has type F64, expected F16 or F32"),
        (lambda t: t.update({WEIGHT: t[WEIGHT].to(torch.int8)}), f"key '{WEIGHT}' has type I8, expected F16 or F32"),
        (lambda t: t.update({COUNTER: torch.tensor(1.0)}), f"key '{COUNTER}' has type F32, expected I64"),
        (lambda t: t[WEIGHT].view(-1)[3].fill_(torch.nan), f"key '{WEIGHT}' holds NaN or infinite"),
        (lambda t: t["head.mvmf.kappas"][0].fill_(-torch.inf), "key 'head.mvmf.kappas' holds NaN or infinite"),
        (lambda t: t.clear(), "is missing; .* more: is this the file of another model"),
    ],
    ids=["missing", "extra", "shape", "transposed", "double", "int8", "counter", "nan", "infinity", "empty"],
)
def test_tensors_that_do_not_fit_are_refused(file: Path, change: Callable, words: str) -> None:
    rewrite(file, change)
    with pytest.raises(CheckpointError, match=rf"^small\.safetensors: .*{words}"):
        load_geoexplain(file, "cpu")


def test_five_differences_are_listed_and_the_rest_counted(file: Path) -> None:
    keys = len(load_file(file))
    rewrite(file, lambda tensors: tensors.clear())
    with pytest.raises(CheckpointError) as refusal:
        load_geoexplain(file, "cpu")
    assert str(refusal.value).count("is missing") == 5
    assert f"and {keys - 5} more" in str(refusal.value)


def test_the_table_of_another_model_is_refused(file: Path) -> None:
    table = cells_file(file)
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(CheckpointError, match=r"'head\.mixture_weights\.bias' has shape \(5,\), expected \(4,\)"):
        load_geoexplain(file, "cpu")


def test_a_missing_table_is_named(file: Path) -> None:
    cells_file(file).unlink()
    with pytest.raises(DataError, match=r"small\.cells\.csv"):
        load_geoexplain(file, "cpu")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ...}, "'name' in its description, got none"),
        ({"title": 3}, "'title' in its description to be a line of at most 1,000 letters, got '3'"),
        ({"title": "\ud800"}, "'title'"),
        ({"purpose": "two\nlines"}, "'purpose'"),
        ({"purpose": "\x1b[31m"}, "'purpose'"),
        ({"name": "a" * 1001}, "'name'"),
        ({"architecture": "resnet50d"}, "timm EfficientNet .*'resnet50d'"),
        ({"size_px": 16}, "'size_px' .* from 32 to 1024, got '16'"),
        ({"size_px": 10**9}, "'size_px'"),
        ({"size_px": True}, "'size_px'"),
        ({"size_px": "224"}, "'size_px'"),
        ({"rule": {"scale_km": 25}}, "'rule'"),
        ({"rule": {"scale_km": 25, "threshold": 0.2, "code": "x"}}, "'rule'"),
        ({"rule": {"scale_km": float("nan"), "threshold": 0.2}}, "'rule'"),
        ({"rule": [25, 0.2]}, "'rule'"),
        ({"refine_km": -1}, "'refine_km'"),
        ({"refine_km": "far"}, "'refine_km'"),
        ({"sigma_km": 0}, "'sigma_km'"),
        ({"sigma_km": float("nan")}, "'sigma_km'"),
        ({"sigma_km": None}, "'sigma_km'"),
        ({"bn_eps": 10**400}, "'bn_eps'"),
        ({"bn_eps": float("nan")}, "'bn_eps'"),
        ({"bn_eps": 1e-3, "architecture": "resnet18"}, "is missing"),
        ({"bn_eps": 1e-3, "architecture": "efficientnet_b0_gn"}, "has shape"),
    ],
)
def test_an_invalid_description_is_refused(file: Path, changes: dict, words: str) -> None:
    described(file, **changes)
    with pytest.raises(CheckpointError, match=words):
        load_geoexplain(file, "cpu")


def test_a_full_disk_is_reported_in_one_sentence(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(CheckpointError, match=r"^small\.safetensors: expected to write it, could not"):
            saved(small_model(), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_weights_have_the_file_mode_of_the_table(file: Path) -> None:
    assert file.stat().st_mode == cells_file(file).stat().st_mode


@pytest.mark.parametrize("kind", ["", "geoexplain/2", "pt"])
def test_another_format_is_refused(file: Path, kind: str) -> None:
    rewrite(file, lambda tensors: None, format=kind)
    with pytest.raises(CheckpointError, match=r"small\.safetensors: expected a geoexplain model"):
        load_geoexplain(file, "cpu")


def test_a_model_is_loaded_by_path(file: Path) -> None:
    assert load_model(file, "cpu").title == "Small <model>"
    assert load_model(str(file), "cpu").name == "small"


def test_the_error_for_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"{BUNDLED}.*got 'earth-viws'"):
        load_model("earth-viws")
    with pytest.raises(CheckpointError, match=r"none\.safetensors"):
        load_geoexplain(tmp_path / "none.safetensors")


# ---- borders


def test_borders_travel_with_a_model_and_go_with_the_next_one(tmp_path: Path) -> None:
    model = small_model()
    borders = (shapely.box(10, 5, 30, 15), None, None, shapely.box(170, -5, 190, 5), None)
    file = tmp_path / "small.safetensors"
    save_geoexplain(model.network, describe(model), replace(model.partition, borders=borders), file)
    found = load_geoexplain(file, "cpu").partition.borders
    assert found is not None
    for before, after in zip(borders, found, strict=True):
        assert (before is None and after is None) or after.equals(before)
    saved(model, tmp_path)  # the same file, of a model without borders
    assert load_geoexplain(file, "cpu").partition.borders is None


def test_borders_of_other_cells_are_refused(file: Path) -> None:
    write_outlines(file.with_name("small.outlines.geojson"), [None] * 4, "abcd")
    with pytest.raises(DataError, match=r"small\.outlines\.geojson: expected borders of 5 cells, got 4"):
        load_geoexplain(file, "cpu")


# ---- places


def places_of_five(cells: int = 5) -> PlaceTree:
    labels, kinds = ("Earth", "the south"), ("planet", "half")
    of_cell = np.array([0, 1, 0, -1, 1])[:cells]
    return PlaceTree("nature", labels, kinds, np.array([-1, 0]), of_cell, (None, shapely.box(-180, -90, 180, 0)))


def test_places_travel_with_a_model_and_others_are_found_by_the_areas(tmp_path: Path) -> None:
    model = small_model()
    file = tmp_path / "small.safetensors"
    save_geoexplain(model.network, describe(model), model.partition, file, trees=[places_of_five()])
    (tree,) = load_geoexplain(file, "cpu").trees
    assert (tree.name, tree.labels, tree.of_cell.tolist()) == ("nature", ("Earth", "the south"), [0, 1, 0, -1, 1])
    assert tree.borders[1] is not None
    assert tree.borders[1].equals(shapely.box(-180, -90, 180, 0))
    saved(model, tmp_path)
    found = load_geoexplain(file, "cpu")
    assert found.own_trees == ()
    (territory,) = found.trees
    assert territory.words(int(territory.of_cell[4])).split(", ")[-1] == "Antarctica"
    assert found.trees is found.trees  # computed once


def test_places_of_other_cells_are_refused(file: Path) -> None:
    write_place_trees([places_of_five(4)], file.with_name("small.places.json"))
    with pytest.raises(DataError, match="expected places of its 5 cells, got those of 4"):
        load_geoexplain(file, "cpu")


def test_places_are_bound_to_the_cells_they_were_made_for(tmp_path: Path) -> None:
    model = small_model()
    file = tmp_path / "small.safetensors"
    save_geoexplain(model.network, describe(model), model.partition, file, trees=model.trees)
    found = load_geoexplain(file, "cpu")
    (made,), (kept,) = model.trees, found.own_trees
    assert (kept.labels, kept.kinds, kept.of_cell.tolist()) == (made.labels, made.kinds, made.of_cell.tolist())
    assert '"borders":null' in file.with_name("small.places.json").read_text()
    country = kept.kinds.index("country")
    assert kept.borders[country].equals(made.borders[country])
    table = file.with_name("small.cells.csv")
    rows = table.read_text().splitlines()
    table.write_text("\n".join([*rows[:3], rows[3].replace("64.0000000", "64.0000001"), *rows[4:]]))
    with pytest.raises(DataError, match=r"small\.places\.json: expected the places of this model's cells, got those"):
        load_geoexplain(file, "cpu")
