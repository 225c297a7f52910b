"""The panel "Why here and not there?": a contrast of two cells, in two colours over the image."""

from dataclasses import asdict
from html import escape
from typing import Any

import numpy as np

from geoexplain.explainer.combine import COMBINATIONS
from geoexplain.explainer.contrast import Contrast, contrast
from geoexplain.explainer.explanation import explain
from geoexplain.explainer.table import GRADIENT_CAM, kinds_of_family
from geoexplain.explainer.trace import LEVELS
from geoexplain.locator.model import GeoModel
from geoexplain.studio.asked import number, whole_number
from geoexplain.studio.panels.panel import Panel, Question, work_controls
from geoexplain.studio.payload import encode
from geoexplain.studio.work import Cancelled, Progress
from geoexplain.view.diverging import (
    DARKEST_GREY,
    HERE_RGB,
    LIGHTEST_GREY,
    STRONGEST_OPACITY,
    THERE_RGB,
    odds_in_words,
)
from geoexplain.words import percent

FIRST_HOW = "max"
"""The first choice scales each stage, since raw maps of stages differ by orders of magnitude."""


def frame() -> str:
    """Return the panel's HTML: cells, picture, legend, choices and a template of tiles. The browser fills it in."""
    gradient = kinds_of_family(GRADIENT_CAM)
    colours = f"--ge-here: rgb{HERE_RGB}; --ge-there: rgb{THERE_RGB}"
    return f"""
<section class="ge-panel-body ge-contrast ge-ui" data-state="empty" aria-label="Two cells compared" style="{colours}">
  <p class="ge-trust-words">What in the image makes one place more probable than another? Orange speaks for the first,
    blue for the second; what speaks for both alike cancels, so this is not the difference of two ordinary heatmaps.
    <span class="ge-contrast-cells"></span></p>
  <div class="ge-ask ge-sides">
    <label class="ge-side" data-side="here"><span>Why</span> <i></i><select></select></label>
    <button type="button" class="ge-swap" title="Ask the other way round">⇄ Swap</button>
    <label class="ge-side" data-side="there"><span>and not</span> <i></i><select></select></label>
    <button type="button" class="ge-pick" aria-pressed="false">Choose on the map</button>
    {work_controls("Compare")}</div>
  <p class="ge-pick-words" role="status" hidden>Click on the world map: the cell there is compared. Esc, or the button
    once more, leaves all as it is.</p>
  <div class="ge-contrast-result" hidden>
    <figure class="ge-contrast-figure">
      <div class="ge-contrast-picture"><img alt=""><canvas aria-hidden="true"></canvas>
        <span class="ge-flat" hidden>flat: nothing here speaks for one rather than the other</span></div>
      <figcaption><ul class="ge-contrast-legend"><li data-side="here"><i></i><span></span></li>
        <li data-side="there"><i></i><span></span></li></ul><p class="ge-odds"></p></figcaption>
    </figure>
    <div class="ge-contrast-choices">
      <div class="ge-choices">
        {_select("of", "Maps of", {name: kind.title for name, kind in gradient.items()}, next(iter(gradient)))}
        {_select("level-of", "Taken at every", {name: name for name in LEVELS}, "stage")}
        {_select("how-of", "Combined by", {name: way.title for name, way in COMBINATIONS.items()}, FIRST_HOW)}
      </div>
      <div class="ge-presets" role="group" aria-label="Stages">
        <button type="button" data-all="true">All alike</button>
        <button type="button" data-all="false">Deepest only</button>
      </div>
      <div class="ge-tiles"></div>
      <template><div class="ge-tile">
        <label class="ge-tile-head"><input type="checkbox"><span class="ge-tile-name"></span></label>
        <div class="ge-tile-map"><canvas aria-hidden="true"></canvas><span class="ge-tile-flat" hidden>flat</span></div>
        <span class="ge-tile-size"></span>
        <span class="ge-tile-weight"><input type="range" min="0" max="2" step="0.05"><output></output></span>
      </div></template>
    </div>
  </div>
</section>"""


def answer(question: Question, _progress: Progress, _cancelled: Cancelled) -> dict[str, Any]:
    """Return the raw maps of both cells at every block. Raises DataError for invalid or equal cells."""
    model = question.loaded.model
    against = _cell_or_place(question.asked.get("against"))
    held = contrast(explain(question.image, model, target=question.target), model, against)
    labels = model.partition.labels
    here, there = labels[held.target], labels[held.against]
    lengths = model.backbone.stage_lengths
    stage_of = np.repeat(np.arange(1, len(lengths) + 1), lengths).tolist()
    return {
        "here": _side(model, held, held.target),
        "there": _side(model, held, held.against),
        "sentence": odds_in_words(here, there, held.log_odds),
        "swapped": odds_in_words(there, here, -held.log_odds),
        "size": list(held.here.size_hw),
        "blocks": [
            {"h": block.activation.shape[1], "w": block.activation.shape[2], "stage": stage}
            for block, stage in zip(held.here.trace.blocks, stage_of, strict=True)
        ],
        "stage_ends": (np.cumsum(lengths) - 1).tolist(),
        "maps": {
            method: {
                "here": [encode(one) for one in held.here.maps(method, "block")],
                "there": [encode(one) for one in held.there.maps(method, "block")],
            }
            for method in kinds_of_family(GRADIENT_CAM)
        },
        "combinations": [{"name": name, **asdict(way)} for name, way in COMBINATIONS.items()],
        "look": {
            "here": HERE_RGB,
            "there": THERE_RGB,
            "darkest": DARKEST_GREY,
            "lightest": LIGHTEST_GREY,
            "opacity": STRONGEST_OPACITY,
        },
    }


def _cell_or_place(value: Any) -> int | tuple[float, float]:
    if isinstance(value, dict):
        return number(value.get("lat")), (number(value.get("lng")) + 180) % 360 - 180
    return whole_number(value)


def _side(model: GeoModel, held: Contrast, cell: int) -> dict[str, Any]:
    share = held.here.prediction.probabilities[cell]
    return {"cell": cell, "label": model.partition.labels[cell], "percent": percent(share)}


def _select(name: str, label: str, options: dict[str, str], chosen: str) -> str:
    items = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(title)}</option>'
        for value, title in options.items()
    )
    return f'<label>{escape(label)} <select data-choice="{name}">{items}</select></label>'


CONTRAST = Panel("contrast", "Why here and not there?", frame, answer)
