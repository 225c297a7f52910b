"""Predictions as records for scripts: one JSON object per image, with stable keys."""

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
    """Return a prediction as plain data.

    image       name of the image in the record
    prediction  of that image by `model`
    top         number of best cells to list
    search      the Search within Cell that made the prediction; None: no search
    trees       the trees of places that the cells lie in; None: the model's

    Coordinates in degrees, probabilities in [0, 1]; "density" maps each radius in km, as text, to the published
    prediction density there (by cell centres, around the top cell), "density_at_scale" is the one that the rule
    compares with its threshold. "density_by_area" holds the probability within the same radii of the predicted point,
    with each cell's probability spread over its area. "half_radius_km" and "radius_90_km" are the radii that hold half
    and 90 % of it. "cell_width_km" is the width of the top cell; narrower circles are no more precise than that.
    "place" is the result of `answer_name`, "label" the name of the best cell. "places" holds for each tree its most
    probable places, coarse to fine, and the places of the best cell as text. "in_domain" says whether the image is of
    the kind that the model is for, "domain_score" is the gate's score in [0, 1]; both are None for a model without a
    gate. Every value is plain Python, ready for `json.dumps`.
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
    """Return one cell as plain data: its number and name, its centre in degrees, and its probability in [0, 1]."""
    cells = model.partition
    return {
        "cell": cell,
        "label": cells.labels[cell],
        "latitude": float(cells.centers_deg[cell, 0]),
        "longitude": float(cells.centers_deg[cell, 1]),
        "probability": float(prediction.probabilities[cell]),
    }


def target_record(model: GeoModel, explanation: Explanation) -> dict[str, Any]:
    """Return what is explained as plain data: the cell, or the place with its cells and their probability in [0, 1]."""
    group = explanation.trace.group
    if group is None:
        return cell_record(model, explanation.prediction, explanation.target)
    return {"place": group.label, "cells": list(group.cells), "probability": explanation.share}


def search_record(prediction: Prediction, search: SearchWithinCell) -> dict[str, Any]:
    """Return the results of Search within Cell as plain data; without photos "searched" and "moved_km" are 0.

    Neighbours are sorted by similarity, highest first. Each has its row in the gallery, its position in degrees, its
    similarity in [-1, 1], and whether it belongs to the cluster whose mean is the answer. "moved_km" is measured from
    the cell's centre.
    """
    neighbours = prediction.neighbours
    settings = {"top_k": search.top_k, "eps_km": search.eps_km}
    if neighbours is None:
        return {"cell": prediction.cell, "searched": 0, **settings, "moved_km": 0.0, "neighbours": []}
    rows = zip(neighbours.rows, neighbours.positions_deg, neighbours.similarity, neighbours.chosen, strict=True)
    return {
        "cell": neighbours.cell,
        "searched": neighbours.searched,
        **settings,
        "moved_km": neighbours.moved_km,
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
