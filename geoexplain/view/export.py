"""Predictions as records for scripts: one JSON object per image, its keys stable."""

from collections.abc import Sequence
from typing import Any

from geoexplain.explainer.explanation import Explanation
from geoexplain.geography.placetree import PlaceTree
from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import Prediction
from geoexplain.locator.retrieval import SearchWithinCell
from geoexplain.view.place_path import answer_name, path_record


def prediction_record(
    image: str,
    model: GeoModel,
    prediction: Prediction,
    top: int = 5,
    *,
    search: SearchWithinCell | None = None,
    trees: Sequence[PlaceTree] | None = None,
) -> dict[str, Any]:
    """A prediction as plain data.

    image       what to call the image
    prediction  of that image by `model`
    top         how many of the best cells to list
    search      what the prediction was made with; None: no search
    trees       the places that the cells lie in; None: the model's

    Coordinates in degrees, probabilities in [0, 1]; "density" maps each radius in km, as text, to the published
    prediction density there (by cell centres, around the top cell), "density_at_scale" is the one that the rule
    compares with its threshold. "density_by_area" holds the probability within the same radii of the predicted point,
    every cell's spread over its area; "half_radius_km" and "radius_90_km" are the radii within which half and 90 % of
    it lie, and "cell_width_km" is how wide the top cell is: a circle narrower than that says no more than that width.
    "place" is the answer in words as `answer_name` has it, or None, "label" the name of the best cell. "places" holds
    for every tree its most probable places, coarse to fine, and in words where the best cell lies.
    Every value is plain Python, ready for `json.dumps`. "in_domain" says whether the image is of the kind that the
    model is for, and "domain_score" how sure it is of that; both are None for a model without a gate.
    """
    cells = model.partition
    trees = model.trees if trees is None else trees
    return {
        "image": image,
        "model": model.name,
        "in_domain": prediction.in_domain,
        "domain_score": prediction.domain_score,
        "latitude": prediction.lat_deg,
        "longitude": prediction.lon_deg,
        "place": answer_name(trees, cells.labels, prediction),
        "cell": prediction.cell,
        "label": cells.labels[prediction.cell],
        "probability": float(prediction.probabilities[prediction.cell]),
        "density": {str(radius): density for radius, density in prediction.density_by_km.items()},
        "density_by_area": {str(radius): share for radius, share in prediction.density_by_area.items()},
        "half_radius_km": prediction.half_radius_km,
        "radius_90_km": prediction.radius_90_km,
        "cell_width_km": prediction.cell_width_km,
        "rule": {"scale_km": prediction.rule.scale_km, "threshold": prediction.rule.threshold},
        "density_at_scale": prediction.density,
        "localizable": prediction.localizable,
        "search_within_cell": None if search is None else search_record(prediction, search),
        "places": [path_record(tree, prediction) for tree in trees],
        "top": [cell_record(model, prediction, cell) for cell in prediction.top(top)],
    }


def cell_record(model: GeoModel, prediction: Prediction, cell: int) -> dict[str, Any]:
    """One cell as plain data: its number and name, its centre in degrees, and its probability in [0, 1]."""
    cells = model.partition
    return {
        "cell": cell,
        "label": cells.labels[cell],
        "latitude": float(cells.centers_deg[cell, 0]),
        "longitude": float(cells.centers_deg[cell, 1]),
        "probability": float(prediction.probabilities[cell]),
    }


def target_record(model: GeoModel, explanation: Explanation) -> dict[str, Any]:
    """What is explained as plain data: the cell, or the place with its cells and their probability in [0, 1]."""
    group = explanation.trace.group
    if group is None:
        return cell_record(model, explanation.prediction, explanation.target)
    return {"place": group.label, "cells": list(group.cells), "probability": explanation.share}


def search_record(prediction: Prediction, search: SearchWithinCell) -> dict[str, Any]:
    """What Search within Cell found, as plain data; in a cell without photos 0 were searched and nothing moved.

    Neighbours come most similar first: their row in the gallery, their place in degrees, their similarity in [-1, 1],
    and whether they are of the cluster whose mean is the answer. "moved_km" is measured from the cell's centre.
    """
    found = prediction.neighbours
    settings = {"top_k": search.top_k, "eps_km": search.eps_km}
    if found is None:
        return {"cell": prediction.cell, "searched": 0, **settings, "moved_km": 0.0, "neighbours": []}
    rows = zip(found.rows, found.positions_deg, found.similarity, found.chosen, strict=True)
    return {
        "cell": found.cell,
        "searched": found.searched,
        **settings,
        "moved_km": found.moved_km,
        "neighbours": [
            {
                "row": int(row),
                "latitude": float(position[0]),
                "longitude": float(position[1]),
                "similarity": float(similarity),
                "chosen": bool(chosen),
            }
            for row, position, similarity, chosen in rows
        ],
    }
