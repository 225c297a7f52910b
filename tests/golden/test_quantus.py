"""Concept influence against what Quantus made of the same random attributions and masks."""

import json

import pytest

from geoexplain.explainer.concepts import concept_influence
from tests.golden.make_quantus import CASES, FILE, drawn

RECORD = json.loads(FILE.read_text(encoding="utf-8"))


def test_every_case_was_asked() -> None:
    assert [(c["seed"], c["height"], c["width"], c["k"], c["share"]) for c in RECORD["cases"]] == list(CASES)


@pytest.mark.parametrize("case", RECORD["cases"], ids=lambda case: f"{case['height']}x{case['width']}-k{case['k']}")
def test_concept_influence_is_that_of_quantus(case: dict[str, float]) -> None:
    attribution, mask = drawn(case["seed"], case["height"], case["width"], case["share"])
    (found,) = concept_influence(attribution, {"it": mask}, k=case["k"], smallest_share=0).concepts
    if not mask.any():  # where Quantus has no number for the top-k intersection either
        assert (case["tki"], case["ci"], found.ci, found.ignored) == (None, None, None, "not in the image")
        return
    assert found.tki == pytest.approx(case["tki"], rel=1e-12)
    assert found.ci == pytest.approx(case["ci"], rel=1e-12)
