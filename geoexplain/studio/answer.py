"""Build the answer that the browser shows: text, numbers, density curves and the photos that the search found."""

import hashlib
from typing import Any

import numpy as np

from geoexplain.explainer.explanation import Explanation
from geoexplain.geography.sphere import great_circle_km
from geoexplain.locator.prediction import Prediction
from geoexplain.locator.retrieval import Neighbours, SearchWithinCell
from geoexplain.studio.examples import Example
from geoexplain.studio.models import Loaded
from geoexplain.studio.places import Place, places_payload
from geoexplain.view.density import area_curve, density_curve
from geoexplain.view.gate_words import MEANING, gate_fact, gate_sentence
from geoexplain.view.place_path import headline
from geoexplain.view.radius_words import reach_words, share_rows
from geoexplain.words import decimal, exact_km, exact_percent, kilometres, percent, position

TOP_ROWS = 5

WORDS_EMPTY = "Nothing here yet. Choose an example, or drop, paste or take a picture: locating starts by itself."

QUIET = {"state": "quiet", "words": ""}
LOCATING = {"state": "locating", "words": "Locating …"}
EXPLAINING = {"state": "explaining", "words": "Explaining …"}
REFUSED = {"state": "refused", "words": "That did not work: the message says why. Nothing else has changed."}


def loading(title: str) -> dict[str, str]:
    """Return the status that the page shows while a model is loaded and locates the image."""
    return {"state": "locating", "words": f"Loading {title} …"}


def answer_payload(
    name: str,
    loaded: Loaded,
    explanation: Explanation,
    found: Prediction,
    example: Example | None = None,
    *,
    trouble: str = "",
    place: Place | None = None,
) -> dict[str, Any]:
    """Return the answer as JSON data: its text and numbers, its places, and the rows of the table of cells.

    The table lists the TOP_ROWS most probable cells, and the explained cell if it is not among them.

    name     the name under which the browser chose the model; requests about this answer carry it
    found    the prediction with Search within Cell; `explanation` holds the one without, to switch to
    trouble  why the search failed although the model has a gallery; empty: it did not fail
    place    the explained place; None if a cell is explained
    """
    prediction, target = explanation.prediction, explanation.target
    cells = loaded.model.partition
    best = prediction.top(TOP_ROWS)
    ranks = {int(cell): rank for rank, cell in enumerate(np.argsort(-prediction.probabilities, kind="stable"), 1)}
    rows = [
        {
            "cell": cell,
            "rank": ranks[cell],
            "label": cells.labels[cell],
            "position": position(*cells.centers_deg[cell]),
            "share": float(prediction.probabilities[cell]),
            "percent": percent(prediction.probabilities[cell]),
        }
        for cell in (best if place is not None or target in best else [*best, target])
    ]
    counted = density_curve(prediction, cells)
    return {
        "model": name,
        "words": "An estimate from appearance alone; never evidence of where a picture was taken.",
        "gate": {
            "words": gate_sentence(loaded.model, prediction),
            "purpose": f"{MEANING} It is for: {loaded.model.purpose}" if loaded.model.purpose else MEANING,
            "answer": hashlib.blake2b(prediction.probabilities.tobytes(), digest_size=8).hexdigest(),
        },
        **_point(loaded, found, example),
        "places": places_payload(loaded, prediction, place),
        "rule": {
            "scale_km": prediction.rule.scale_km,
            "scale_text": exact_km(prediction.rule.scale_km),
            "threshold": prediction.rule.threshold,
            "threshold_text": exact_percent(prediction.rule.threshold),
        },
        "localizable": prediction.localizable,
        "counted": {
            "km": counted[:, 0].tolist(),
            "share": counted[:, 1].tolist(),
            "percent": [percent(share) for share in counted[:, 1]],
        },
        "search": _search(loaded, found, prediction, trouble, example),
        "rows": rows,
        "target": target if place is None else None,
    }


def _point(loaded: Loaded, prediction: Prediction, example: Example | None) -> dict[str, Any]:
    """Return the part of the answer that depends on the predicted point."""
    digits = 1 if prediction.neighbours is None else 3
    labels, share = loaded.model.partition.labels, prediction.probabilities[prediction.cell]
    facts = [
        f"{position(prediction.lat_deg, prediction.lon_deg, digits)} ({prediction.source})",
        f"Best cell: {labels[prediction.cell]}, {percent(share)}",
        reach_words(prediction),
        gate_fact(loaded.model, prediction),
    ]
    if example is not None:
        error_km = great_circle_km((prediction.lat_deg, prediction.lon_deg), (example.lat_deg, example.lon_deg))
        truth = position(example.lat_deg, example.lon_deg)
        facts.append(f"Truth: {example.title}, {truth}: {kilometres(float(error_km))} away")
    return {
        "place": headline(loaded.trees, labels, prediction),
        "facts": facts,
        "curve": area_curve(prediction),
        "density": [
            {"label": words, "share": part, "percent": percent(part)} for words, part in share_rows(prediction)
        ],
    }


def _search(
    loaded: Loaded, prediction: Prediction, plain: Prediction, trouble: str, example: Example | None
) -> dict[str, Any] | None:
    """Return the photos that Search within Cell found; None without a gallery, no rows if there is nothing to show."""
    found = prediction.neighbours
    if trouble:
        return {"words": f"Not possible: {trouble}", "rows": []}
    if loaded.search is None:
        return None
    if found is None:
        return {"words": "The gallery holds no photo of the best cell: the answer stays what it was.", "rows": []}
    return {
        "words": found_words(found, loaded.search),
        "rows": [
            {
                "position": position(lat, lon, 4),
                "similarity": float(similarity),
                "figure": decimal(similarity, 3),
                "chosen": bool(chosen),
            }
            for (lat, lon), similarity, chosen in zip(found.positions_deg, found.similarity, found.chosen, strict=True)
        ],
        "without": _point(loaded, plain, example),
    }


def found_words(found: Neighbours, search: SearchWithinCell) -> str:
    """Return two sentences: how many photos were found, and how that moved the predicted point."""
    shown, together = len(found.rows), int(found.chosen.sum())
    moved = f"{kilometres(found.moved_km)} from the centre of the cell."
    if found.searched == 1:
        return f"The gallery holds one photo of the best cell; its place is the answer, {moved}"
    first = f"Of {found.searched:,} photos in the best cell, the {shown} most alike."
    if shown == found.searched:
        first = f"The {shown} photos in the best cell."
    near = exact_km(search.eps_km)
    if together == 1:
        return f"{first} No two of them lie within {near}: the place of the most alike is the answer, {moved}"
    return f"{first} {together} lie together, each within {near} of another: their mean is the answer, {moved}"
