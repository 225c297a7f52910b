"""Every cell of every kind of model: headline, path, label, table, map and record of one answer say the same place."""

import re
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from geoexplain.geography.addresses import territory_addresses
from geoexplain.geography.addresses.borders import border_of
from geoexplain.geography.addresses.cell_places import place_trees
from geoexplain.geography.gazetteer import load_gazetteer
from geoexplain.geography.partition import Partition
from geoexplain.geography.placetree import PlaceTree
from geoexplain.geography.s2_partitioning import build_s2
from geoexplain.geography.semantic_partitioning import build_semantic
from geoexplain.locator.checkpoints.certh import _partition
from geoexplain.locator.model import LocalizableRule
from geoexplain.locator.prediction import Prediction
from geoexplain.locator.spread import spread_probability
from geoexplain.locator.zoo import load_model
from geoexplain.studio import places
from geoexplain.studio.answer import answer_payload
from geoexplain.studio.examples import examples
from geoexplain.view.export import prediction_record
from geoexplain.view.place_path import headline, place_words
from geoexplain.view.worldmap import world_map_html
from tests.golden.checkpoints import resized, spec
from tests.golden.golden import state_dict

CERTH_CELLS = 31_145
CITY = re.compile(r"(?:near|[\d,]+ km [NESW]{1,2} of) (.+)")
HINT = re.compile(r"(?: \((?:(?:north|south)?(?:east|west)?|\d+° [NS], \d+° [EW]|\d+)\))+$")
AFLOAT = ("sea", "ocean")


@cache
def places_of_cities() -> dict[str, list[set[str]]]:
    """A city's name → for each city of that name the places that its coordinates lie in, by their address."""
    found, names = territory_addresses(load_gazetteer().city_deg), defaultdict(list)
    for name, path in zip(load_gazetteer().cities, found.paths.tolist(), strict=True):
        names[name].append({found.locations[step].name for step in path if step >= 0})
    return names


@cache
def bundled() -> tuple[Partition, tuple[PlaceTree, ...]]:
    model = load_model(device="cpu")
    return model.partition, model.trees


@cache
def certh() -> tuple[Partition, tuple[PlaceTree, ...]]:
    """As many cells as CERTH's model has, anywhere on Earth, named as they are when it is added."""
    weights = spec("certh_b4")
    head = state_dict(weights["seed"], resized(weights["files"]["mvmf_head.pt"], CERTH_CELLS))
    partition = _partition("certh", head["mvmf.mus"])
    return partition, place_trees(partition)


@cache
def s2() -> tuple[Partition, tuple[PlaceTree, ...]]:
    partition = build_s2(load_gazetteer().city_deg, [(1, 60)]).levels[0]
    return partition, place_trees(partition)


@cache
def semantic() -> tuple[Partition, tuple[PlaceTree, ...]]:
    addresses = territory_addresses(load_gazetteer().city_deg)
    built = build_semantic(addresses, [40], name="semantic", border_of=border_of, address_of=territory_addresses)
    assert built.tree is not None
    return built.levels[0], (built.tree,)


def concentrated(partition: Partition, cell: int) -> Prediction:
    """An answer that puts nine tenths on one cell and the rest on all alike."""
    shares = np.full(len(partition), 0.1 / len(partition))
    shares[cell] += 0.9
    lat, lon = partition.centers_deg[cell]
    spread = spread_probability(shares, partition, (lat, lon))
    return Prediction(cell, shares, lat, lon, {25: 0.9}, LocalizableRule(), 0.9, True, "cell centre", spread=spread)


@pytest.mark.parametrize("make", [bundled, certh, s2], ids=lambda make: make.__name__)
def test_the_label_of_every_cell_lies_in_the_places_of_its_path(
    make: Callable[[], tuple[Partition, tuple[PlaceTree, ...]]],
) -> None:
    partition, (tree,) = make()
    assert len(set(partition.labels)) == len(partition)
    cities = 0
    for cell, label in enumerate(partition.labels):
        path = [tree.labels[place] for place in tree.path(int(tree.of_cell[cell]))]
        kinds = [tree.kinds[place] for place in tree.path(int(tree.of_cell[cell]))]
        assert path, label
        name = HINT.sub("", label)
        if kinds[0] in AFLOAT:
            assert name.split(", off ")[0] == path[0]
            continue
        assert not set(kinds) & set(AFLOAT), (label, path)  # a country is in no sea
        country = path[kinds.index("country")] if "country" in kinds else "Antarctica"
        named, _, last = name.rpartition(f", {country}")
        assert last == "" if named else name == country, (label, path)
        found = CITY.fullmatch(named)
        if found is None:
            assert named in {"", path[0]}, (label, path)
            continue
        cities += 1
        wanted = {one for one, kind in zip(path, kinds, strict=True) if kind in {"city", "region", "country"}}
        assert any(wanted <= held for held in places_of_cities()[found[1]]), (label, path)
    assert cities > len(partition) / 4


@pytest.mark.parametrize("make", [bundled, s2, semantic], ids=lambda make: make.__name__)
def test_headline_path_table_and_record_of_every_cell_agree(
    make: Callable[[], tuple[Partition, tuple[PlaceTree, ...]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "place_shape", lambda tree, place: {})  # outlines take most of the time, and no name
    partition, trees = make()
    model = SimpleNamespace(name="any", purpose="", gate=None, ungated="", partition=partition, trees=trees)
    loaded = SimpleNamespace(model=model, trees=trees, search=None)
    for cell in range(len(partition)):
        prediction = concentrated(partition, cell)
        best = place_words(trees[0], int(trees[0].of_cell[cell]))
        assert headline(trees, partition.labels, prediction) == best
        record = prediction_record("", model, prediction, top=1)
        (path,) = record["places"]
        assert record["place"] == best
        assert path["best_cell"].startswith(best)
        assert best.startswith(path["path"][-1]["label"])
        assert record["label"] == record["top"][0]["label"] == partition.labels[cell]
        explanation = SimpleNamespace(prediction=prediction, target=cell)
        answer = answer_payload("any", loaded, explanation, prediction)
        assert answer["place"] == best
        assert answer["facts"][1].startswith(f"Best cell: {partition.labels[cell]}, 90.0 %")
        assert answer["rows"][0]["label"] == partition.labels[cell]
        (shown,) = answer["places"]
        assert best.startswith(shown["levels"][-1]["label"])
        assert shown["elsewhere"] is None


def test_the_label_of_a_semantic_cell_is_its_path() -> None:
    partition, (tree,) = semantic()
    for label, place in zip(partition.labels, tree.of_cell, strict=True):
        assert HINT.sub("", label).removeprefix("rest of ").startswith(place_words(tree, int(place)))


def test_the_map_says_what_the_table_says() -> None:
    partition, _ = bundled()
    example = next(example for example in examples() if example.file.stem == "nile")
    cell = partition.nearest(example.lat_deg, example.lon_deg)
    page = world_map_html(concentrated(partition, cell), partition)
    assert f'"{cell}":"{partition.labels[cell]}"' in page


def test_no_example_lies_in_a_sea() -> None:
    partition, (tree,) = bundled()
    lands = {
        "italy": "Italy", "nile": "Egypt", "greenland": "Greenland", "madagascar": "Madagascar", "iceland": "Iceland",
        "new-zealand": "New Zealand", "baja": "Mexico", "amazon": "Brazil", "great-plains": "United States",
    }  # fmt: skip
    for example in examples():
        country = lands.get(example.file.stem)
        cell = partition.nearest(example.lat_deg, example.lon_deg)
        if country is not None:
            assert country in tree.words(int(tree.of_cell[cell])), example.title
            assert partition.labels[cell].split(" (")[0].endswith(country)
