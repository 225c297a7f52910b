"""A prediction as a record: the promised keys, plain values."""

import json
from dataclasses import dataclass

import numpy as np
import torch

from geoexplain.locator.prediction import predict
from geoexplain.locator.retrieval import SearchWithinCell
from geoexplain.view.export import prediction_record
from tests.locator.models import CENTERS, LABELS, small_model


def test_a_record_is_json_with_the_promised_keys() -> None:
    model = small_model()
    shares = np.array([0.1, 0.5, 0.15, 0.2, 0.05])
    record = prediction_record("a.jpg", model, predict(model, torch.from_numpy(np.log(shares))), top=2)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert list(record) == [
        "image", "model", "in_domain", "domain_score", "latitude", "longitude", "place", "cell", "label",
        "probability", "density", "density_by_area", "half_radius_km", "radius_90_km", "cell_width_km", "rule",
        "density_at_scale", "localizable", "search_within_cell", "places", "top",
    ]  # fmt: skip
    assert record["place"] == "Australia"  # it holds exactly half
    assert (record["image"], record["model"], record["cell"], record["label"]) == ("a.jpg", "small", 1, LABELS[1])
    np.testing.assert_allclose((record["latitude"], record["longitude"], record["probability"]), (-33, 151, 0.5))
    assert list(record["density"]) == ["1", "25", "200", "750", "2500"]
    np.testing.assert_allclose(list(record["density"].values()), 0.5)
    assert list(record["density_by_area"]) == ["1", "25", "200", "750", "2500"]
    # The best cell is thousands of kilometres wide: a kilometre around its centre holds nothing to speak of.
    assert 0 < record["density_by_area"]["1"] < 1e-6
    assert 0.1 < record["density_by_area"]["2500"] < 0.5
    assert 2500 < record["half_radius_km"] < record["radius_90_km"]
    assert 5000 < record["cell_width_km"] < 20_000
    assert record["rule"] == {"scale_km": 750, "threshold": 0.4}
    assert record["density_at_scale"] == record["density"]["750"]
    assert record["localizable"] is True  # 0.5 within 750 km, above the model's 0.4
    assert record["search_within_cell"] is None
    (territory,) = record["places"]
    assert [step["label"] for step in territory["path"]][-2:] == ["Australia and New Zealand", "Australia"]
    np.testing.assert_allclose([step["share"] for step in territory["path"]], 0.5)
    assert territory["best_cell"].startswith("Australia, ")
    assert prediction_record("a.jpg", model, predict(model, torch.from_numpy(np.log(shares))), trees=())["places"] == []
    assert [best["cell"] for best in record["top"]] == [1, 3]
    assert list(record["top"][0]) == ["cell", "label", "latitude", "longitude", "probability"]
    for best in record["top"]:
        cell = best["cell"]
        assert best["label"] == LABELS[cell]
        np.testing.assert_allclose((best["latitude"], best["longitude"]), CENTERS[cell])
        np.testing.assert_allclose(best["probability"], shares[cell])


@dataclass(frozen=True, eq=False)
class Album:
    """Photos of one cell in memory, as a gallery."""

    cell: int
    embeddings: np.ndarray
    places_deg: np.ndarray
    name: str = "album"
    model: str | None = None

    @property
    def dim(self) -> int:
        return self.embeddings.shape[1]

    def __len__(self) -> int:
        return len(self.embeddings)

    def rows_of(self, cell: int) -> np.ndarray:
        return np.arange(len(self) if cell == self.cell else 0)

    def features(self, rows: np.ndarray) -> np.ndarray:
        return self.embeddings[rows]

    def positions_deg(self, rows: np.ndarray) -> np.ndarray:
        return self.places_deg[rows]


def test_what_a_search_found_is_plain_data() -> None:
    model = small_model()
    features = torch.zeros(model.backbone.feature_dim)
    features[0] = 2.0  # an embedding along the first axis
    embeddings = np.zeros((3, len(features)), dtype=np.float32)
    embeddings[:, 0], embeddings[:, 1] = (0.28, 1.0, 0.6), (0.96, 0.0, 0.8)
    places = np.array([(-33.0, 151.5), (-34.0, 151.0), (-33.0, 151.5)])
    search = SearchWithinCell(Album(1, embeddings, places), top_k=7, eps_km=2.5)
    logits = torch.tensor([0.0, 9.0, 0.0, 0.0, 0.0])
    record = prediction_record("a.jpg", model, predict(model, logits, features=features, search=search), search=search)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    np.testing.assert_allclose((record["latitude"], record["longitude"]), (-33.0, 151.5))
    found = record["search_within_cell"]
    assert list(found) == ["cell", "searched", "top_k", "eps_km", "moved_km", "neighbours"]
    assert (found["cell"], found["searched"], found["top_k"], found["eps_km"]) == (1, 3, 7, 2.5)
    # Half a degree along the parallel of 33 degrees south.
    np.testing.assert_allclose(found["moved_km"], np.radians(0.5) * 6371 * np.cos(np.radians(33)), rtol=1e-4)
    assert [row["row"] for row in found["neighbours"]] == [1, 2, 0]
    assert [row["chosen"] for row in found["neighbours"]] == [False, True, True]
    np.testing.assert_allclose([row["similarity"] for row in found["neighbours"]], [1.0, 0.6, 0.28], rtol=1e-6)
    assert [(row["latitude"], row["longitude"]) for row in found["neighbours"]] == [
        (-34, 151),
        (-33, 151.5),
        (-33, 151.5),
    ]
    elsewhere = predict(model, logits.flip(0), features=features, search=search)
    assert prediction_record("a.jpg", model, elsewhere, search=search)["search_within_cell"] == {
        "cell": 3, "searched": 0, "top_k": 7, "eps_km": 2.5, "moved_km": 0.0, "neighbours": [],
    }  # fmt: skip
