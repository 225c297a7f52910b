"""Encode the explanation for the browser: every map as plain data. Nothing is computed here."""

import base64
import io
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from PIL import Image

from geoexplain.evaluation.tuning import verdict
from geoexplain.explainer.cams import StageMap
from geoexplain.explainer.combine import COMBINATIONS, Heatmap
from geoexplain.explainer.explanation import Explanation
from geoexplain.explainer.table import (
    COMBI_CAM,
    EXPLANATIONS,
    GRADIENT_CAM,
    PERTURBATION_CAM,
    TUNED,
    canonical_name,
    explanation_kind,
    is_tuned,
    kinds_of_family,
    tuned_weights,
)
from geoexplain.explainer.target import SCORES
from geoexplain.explainer.trace import LEVELS
from geoexplain.explainer.tuned import presets
from geoexplain.locator.model import GeoModel
from geoexplain.locator.tuned import HeldOut, StageWeights
from geoexplain.studio.places import Place
from geoexplain.view.overlay import COLORMAPS, colormap_lut
from geoexplain.words import counted, percent

SHOWN_SIDE_PX = 512
BEST_CELLS = 12

WORDS_EXPLANATION_EMPTY = "The maps of what the network looked at appear here."


def menu() -> dict[str, Any]:
    """Return the choices of the explanation's controls, read from the registries."""
    return {
        "methods": [{"name": name, "title": kind.title} for name, kind in kinds_of_family(GRADIENT_CAM).items()],
        "presets": [
            {
                "name": name,
                "title": EXPLANATIONS[name].title,
                "method": preset.method,
                "level": preset.level,
                "score": preset.score,
                "how": preset.how,
            }
            for name, preset in presets().items()
        ],
        "combinations": [{"name": name, **asdict(way)} for name, way in COMBINATIONS.items()],
        "levels": list(LEVELS),
        "scores": list(SCORES),
        "colormaps": [
            {"name": name, "title": title, "lut": base64.b64encode(colormap_lut(name).tobytes()).decode("ascii")}
            for name, title in COLORMAPS.items()
        ],
        "words": {"empty": WORDS_EXPLANATION_EMPTY},
        "first_preset": COMBI_CAM,
        "first_how": presets()[COMBI_CAM].how,
        "tuned_preset": TUNED,
        "on_demand": list(kinds_of_family(PERTURBATION_CAM)),
    }


def explanation_payload(
    name: str, model: GeoModel, explanation: Explanation, place: Place | None = None
) -> dict[str, Any]:
    """Return all data with which the browser draws every panel and blends any Combi-CAM without the server.

    "maps" holds for each gradient method the raw float32 map of every block, little-endian base64; the map of a stage
    is that of its last block, listed in "stage_ends". `name` is the name under which the browser chose the model,
    `place` the explained place, None for a cell; "target" is the explained cell, or the most probable one of the place.
    """
    trace = explanation.trace
    lengths = model.backbone.stage_lengths
    ends = (np.cumsum(lengths) - 1).tolist()
    stage_of = np.repeat(np.arange(1, len(lengths) + 1), lengths).tolist()
    blocks = [
        {
            "channels": block.activation.shape[0],
            "h": block.activation.shape[1],
            "w": block.activation.shape[2],
            "stage": stage,
        }
        for block, stage in zip(trace.blocks, stage_of, strict=True)
    ]
    labels, shares = model.partition.labels, explanation.prediction.probabilities
    cell = {"cell": explanation.target, "label": labels[explanation.target]}
    cell["percent"] = percent(shares[explanation.target])
    group, share = trace.group, percent(explanation.share)
    label = cell["label"] if group is None else group.label
    what = f"cell {explanation.target}, {label} ({share})"
    if group is not None:
        what = f"{label} ({share}, {counted(len(group.cells), 'cell')})"
    return {
        "model": name,
        "target": explanation.target,
        "place": None if place is None else {"tree": place.tree, "place": place.place},
        "label": label,
        "percent": share,
        "cell": cell,
        "best": [
            {"cell": cell, "label": labels[cell], "percent": percent(shares[cell])}
            for cell in explanation.prediction.top(BEST_CELLS)
        ],
        "score": trace.score,
        "size": list(explanation.size_hw),
        "image": data_url(shown_image(model, explanation.image)),
        "alt": f"The image as the network sees it; explained: {label}",
        "words": f"Explaining the {trace.score} of {what}.",
        "blocks": blocks,
        "stage_ends": ends,
        "preset_weights": {
            name: list(preset.weights(len(blocks) if preset.level == "block" else len(ends)))
            for name, preset in presets().items()
        },
        "tuned": tuned_preset(model),
        "maps": {name: [encode(m) for m in explanation.maps(name, "block")] for name in kinds_of_family(GRADIENT_CAM)},
    }


def tuned_preset(model: GeoModel) -> dict[str, Any] | None:
    """Return the preset of the weights that were tuned for a model, with a text on them; None if there are none."""
    if not is_tuned(model):
        return None
    tuned = tuned_weights(model)
    return {
        "method": tuned.method,
        "level": tuned.level,
        "score": tuned.score,
        "how": tuned.how,
        "weights": list(tuned.weights),
        "words": tuned_words(tuned),
    }


def tuned_words(tuned: StageWeights) -> str:
    """Return as text what weights were tuned for, and what they gained on held-out images."""
    words = f"Tuned for {tuned.objective} on {tuned.tuned_on}."
    if tuned.held_out is None:
        return f"{words} Not tested on others."
    words += f" On {tuned.held_out.images:,} others, with the 95 % interval: {gains_text(tuned.held_out)}."
    if tuned.cross_check is not None:
        words += f" By {tuned.cross_check.objective}, for which they were not tuned: {gains_text(tuned.cross_check)}."
    return words


def gains_text(held_out: HeldOut) -> str:
    """Return the gains by one metric as text, each with its verdict."""
    said = {
        "better": "better than",
        "worse": "worse than",
        "no gain": "no gain over",
        "too few": "too few to tell from",
    }
    titles = {
        name: explanation_kind(name).title if canonical_name(name) in EXPLANATIONS else name for name in held_out.gains
    }
    return ", ".join(
        f"{said[verdict(gain, held_out.images)]} {titles[name]} ({gain.mean:+.3f}, {gain.low:+.3f} to {gain.high:+.3f})"
        for name, gain in held_out.gains.items()
    )


def on_demand_payload(heatmap: Heatmap) -> dict[str, Any]:
    """Return the heatmap of a perturbation CAM as data: its last raw map if it keeps maps, else the heatmap itself."""
    shown = heatmap.maps[-1] if heatmap.maps else heatmap
    h, w = shown.values.shape
    return {"values": encode(shown), "h": h, "w": w}


def encode(stage_map: StageMap | Heatmap) -> str:
    """Encode the values of a map as base64: float32, little-endian, row by row."""
    return base64.b64encode(stage_map.values.astype("<f4").tobytes()).decode("ascii")


def shown_image(model: GeoModel, image: Image.Image) -> Image.Image:
    """Return the part of the image that the network sees, at a resolution for people."""
    short = min(SHOWN_SIDE_PX, max(min(image.size), model.preprocess.size_px))
    return replace(model.preprocess, size_px=short).view(image)


def data_url(image: Image.Image) -> str:
    """Return an image as a JPEG data URL, which leaves no file on the server."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
