"""What the browser is sent: explanations and predictions as plain data. No arithmetic beyond encoding."""

import base64
import io
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from geoexplain.explainer.cams import METHODS, StageMap
from geoexplain.explainer.combine import COMBINATIONS, PRESETS
from geoexplain.explainer.explanation import Explanation
from geoexplain.explainer.trace import LEVELS, SCORES
from geoexplain.geography.places import place_name
from geoexplain.geography.sphere import great_circle_km
from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import Prediction
from geoexplain.studio.examples import Example
from geoexplain.view.overlay import COLORMAPS, colormap_lut
from geoexplain.view.worldmap import half_probability_radius_km

SHOWN_SIDE_PX = 512
TOP_ROWS = 5

WORDS_EMPTY = "Nothing here yet. Choose an example, or drop, paste or take a picture: locating starts by itself."
WORDS_EXPLANATION_EMPTY = "The maps of what the network looked at appear here."

QUIET = {"state": "quiet", "words": ""}
LOCATING = {"state": "locating", "words": "Locating …"}
EXPLAINING = {"state": "explaining", "words": "Explaining …"}
REFUSED = {"state": "refused", "words": "That did not work: the message says why. Nothing else has changed."}


def menu() -> dict[str, Any]:
    """What the explanation's controls offer, read from the registries."""
    return {
        "methods": [{"name": name, "title": method.title} for name, method in METHODS.items() if method.gradient],
        "presets": [
            {"name": name, "title": preset.title, "level": preset.level, "score": preset.score, "how": preset.how}
            for name, preset in PRESETS.items()
        ],
        "combinations": [{"name": name, "title": way.title} for name, way in COMBINATIONS.items()],
        "levels": list(LEVELS),
        "scores": list(SCORES),
        "colormaps": [
            {"name": name, "title": title, "lut": base64.b64encode(colormap_lut(name).tobytes()).decode("ascii")}
            for name, title in COLORMAPS.items()
        ],
        "words": {"empty": WORDS_EXPLANATION_EMPTY},
        "first_preset": "all-stages",
    }


def explanation_payload(model: GeoModel, explanation: Explanation) -> dict[str, Any]:
    """Everything the browser needs to draw every panel and to blend any Combi-CAM by itself.

    "maps" holds, per gradient method, the raw float32 map of every block, little-endian base64; stages are the blocks
    listed in "stage_ends".
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
    gradient_methods = [name for name, method in METHODS.items() if method.gradient]
    label = model.partition.labels[explanation.target]
    share = explanation.prediction.probabilities[explanation.target]
    return {
        "target": explanation.target,
        "score": trace.score,
        "size": list(explanation.size_hw),
        "image": data_url(shown_image(model, explanation.image)),
        "alt": f"The image as the network sees it; explained: {label}",
        "words": f"Explaining the {trace.score} of cell {explanation.target}, {label} ({percent(share)}).",
        "blocks": blocks,
        "stage_ends": ends,
        "preset_weights": {
            name: list(preset.weights(len(blocks) if preset.level == "block" else len(ends)))
            for name, preset in PRESETS.items()
        },
        "maps": {name: [encode(m) for m in explanation.maps(name, "block")] for name in gradient_methods},
    }


def score_cam_payload(stage_map: StageMap, run: int) -> dict[str, Any]:
    """A finished Score-CAM map; `run` is the browser's number for the run."""
    h, w = stage_map.values.shape
    return {"state": "done", "run": run, "values": encode(stage_map), "h": h, "w": w}


def answer_payload(model: GeoModel, prediction: Prediction, target: int, example: Example | None) -> dict[str, Any]:
    """The answer in words and figures, and the rows of the table of cells; a chosen cell further down gets a row."""
    cells = model.partition
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
        for cell in (best if target in best else [*best, target])
    ]
    radius = half_probability_radius_km(prediction, cells)
    facts = [
        f"{position(prediction.lat_deg, prediction.lon_deg)} ({prediction.source})",
        f"Half of the probability lies within {radius:,.0f} km",
    ]
    if example is not None:
        error = great_circle_km((prediction.lat_deg, prediction.lon_deg), (example.lat_deg, example.lon_deg))
        facts.append(f"Truth: {example.title}, {position(example.lat_deg, example.lon_deg)}: {error:,.0f} km away")
    rule = model.rule
    more = "more" if prediction.localizable else "less"
    return {
        "words": "An estimate from appearance alone; never evidence of where a picture was taken.",
        "place": place_name(prediction.lat_deg, prediction.lon_deg),
        "facts": facts,
        "verdict": "Localizable" if prediction.localizable else "Not localizable",
        "why": f"{more} than {rule.threshold:.0%} of the probability within {rule.scale_km:,} km of the best cell",
        "localizable": prediction.localizable,
        "density": [
            {"label": f"{radius_km:,} km", "share": density, "percent": percent(density)}
            for radius_km, density in prediction.density_by_km.items()
        ],
        "rows": rows,
        "target": target,
    }


def encode(stage_map: StageMap) -> str:
    """The values of a map, float32 little-endian, row by row, as base64."""
    return base64.b64encode(stage_map.values.astype("<f4").tobytes()).decode("ascii")


def shown_image(model: GeoModel, image: Image.Image) -> Image.Image:
    """The part of the image that the network sees, at a resolution for people."""
    short = min(SHOWN_SIDE_PX, max(min(image.size), model.preprocess.size_px))
    return replace(model.preprocess, size_px=short).view(image)


def data_url(image: Image.Image) -> str:
    """An image as a JPEG data URL: shown without leaving a file on the server."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def percent(share: float) -> str:
    """A share in [0, 1] as text: 0.0123 → "1.2 %"."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    return f"{100 * share:.1f} %"


def position(lat_deg: float, lon_deg: float) -> str:
    """A point in degrees as text: "41.9° N, 12.5° E"."""
    return f"{abs(lat_deg):.1f}° {'N' if lat_deg >= 0 else 'S'}, {abs(lon_deg):.1f}° {'E' if lon_deg >= 0 else 'W'}"
