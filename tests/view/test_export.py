"""A prediction as a record: the promised keys, plain values."""

import json

import numpy as np
import torch

from geoexplain.locator.prediction import predict
from geoexplain.view.export import prediction_record
from tests.locator.models import CENTERS, LABELS, small_model


def test_a_record_is_json_with_the_promised_keys() -> None:
    model = small_model()
    shares = np.array([0.1, 0.5, 0.15, 0.2, 0.05])
    record = prediction_record("a.jpg", model, predict(model, torch.from_numpy(np.log(shares))), top=2)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert list(record) == [
        "image", "model", "latitude", "longitude", "cell", "label", "probability", "density", "localizable", "top",
    ]  # fmt: skip
    assert (record["image"], record["model"], record["cell"], record["label"]) == ("a.jpg", "small", 1, LABELS[1])
    np.testing.assert_allclose((record["latitude"], record["longitude"], record["probability"]), (-33, 151, 0.5))
    assert list(record["density"]) == ["1", "25", "200", "750", "2500"]
    np.testing.assert_allclose(list(record["density"].values()), 0.5)
    assert record["localizable"] is True  # 0.5 within 750 km, above the model's 0.4
    assert [best["cell"] for best in record["top"]] == [1, 3]
    assert list(record["top"][0]) == ["cell", "label", "latitude", "longitude", "probability"]
    for best in record["top"]:
        cell = best["cell"]
        assert best["label"] == LABELS[cell]
        np.testing.assert_allclose((best["latitude"], best["longitude"]), CENTERS[cell])
        np.testing.assert_allclose(best["probability"], shares[cell])
