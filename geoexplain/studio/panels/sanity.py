"""The sanity strip: every explanation while the network forgets what it has learnt, from the head to the stem."""

import base64
import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.sanity import DRAWS as USUAL_DRAWS
from geoexplain.explainer.sanity import SanityCheck, heatmaps, sanity_checks
from geoexplain.explainer.tuned import traced_candidates
from geoexplain.studio.panels.panel import Panel, Question, work_controls
from geoexplain.studio.work import Cancelled, Progress
from geoexplain.view.overlay import COLORMAPS, colormap_lut, normalise

DRAWS = (3, 5, 10)
"""How often the weights are drawn, to choose from: of one draw alone nothing is known of chance."""

THUMBNAIL_PX = 64
"""Longer side of a small map."""

VERDICTS = {
    "depends": "depends on what was learnt",
    "partly": "partly the image's own",
    "survives": "survives random weights",
    "none": "no map",
}
"""The verdicts of SanityCheck in a few words."""


def frame() -> str:
    """Controls and the strip; the browser fills in the rows."""
    draws = "".join(f'<option value="{n}"{" selected" if n == USUAL_DRAWS else ""}>{n}</option>' for n in DRAWS)
    return f"""
<section class="ge-panel-body ge-sanity ge-ui" data-state="empty" aria-label="Sanity check">
  <p class="ge-trust-words">Replace what the network has learnt by random numbers, part by part, from the head to the
    stem. A map that stays the same does not show what was learnt: it is a drawing of the image's own edges.</p>
  <div class="ge-ask">{work_controls("Check all methods")}
    <label>Draws of the random weights <select data-choice="draws">{draws}</select></label></div>
  <div class="ge-sanity-result" hidden>
    <p class="ge-caption" id="ge-strip-caption"></p>
    <div class="ge-scroll"><table class="ge-strip" aria-describedby="ge-strip-caption"><thead><tr></tr></thead>
      <tbody></tbody></table></div>
    <p class="ge-reading">Below each map: rank correlation with the original map, the mean over the draws; the maps are
      those of the first draw. One image is weak evidence: <code>geoexplain evaluate sanity</code> looks at many.</p>
  </div>
</section>"""


def answer(question: Question, progress: Progress, cancelled: Cancelled) -> dict[str, Any]:
    """The strip of the page's image and cell. Raises DataError for draws or colours that are not offered."""
    draws, colormap = question.asked.get("draws"), question.asked.get("colormap")
    if type(draws) is not int or draws not in DRAWS or not isinstance(colormap, str) or colormap not in COLORMAPS:
        raise DataError("expected draws and colours that the page offers, got others: reload the page.")
    model = question.loaded.model
    tensor = model.tensor(question.image)
    candidates = traced_candidates(model)
    strips: dict[str, list[str | None]] = {name: [] for name in candidates}

    def seen(draw: int, _step: int, drawn: Mapping[str, Heatmap]) -> None:
        if draw == 0:
            for name, heatmap in drawn.items():
                strips[name].append(thumbnail(heatmap, colormap))

    seen(0, 0, heatmaps(model, tensor, question.target, candidates))
    checks = sanity_checks(
        model, tensor, question.target, candidates, draws=draws, seen=seen, progress=progress, cancelled=cancelled
    )
    steps = next(iter(checks.values())).steps
    return {
        "draws": draws,
        "steps": list(steps),
        "rows": [row_of(candidates[name].title, check, strips[name]) for name, check in checks.items()],
    }


def row_of(title: str, check: SanityCheck, maps: list[str | None]) -> dict[str, Any]:
    """One explanation: the original map, then one per step, with what is left of it."""
    return {
        "name": check.candidate,
        "title": title,
        "verdict": check.verdict,
        "words": VERDICTS[check.verdict],
        "sentence": check.sentence,
        "maps": maps,
        "correlations": [None if math.isnan(value) else float(value) for value in check.mean_correlations()],
        "similarities": [None if math.isnan(value) else float(value) for value in check.mean_similarities()],
    }


def thumbnail(heatmap: Heatmap, colormap: str) -> str | None:
    """A heatmap as a small PNG data URL; None if it is flat."""
    if heatmap.flat:
        return None
    height, width = heatmap.values.shape
    scale = THUMBNAIL_PX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(Image.fromarray(normalise(heatmap.values)).resize(size, Image.Resampling.BOX))
    colours = colormap_lut(colormap)[np.rint(255 * small).astype(np.uint8)]
    buffer = io.BytesIO()
    Image.fromarray(colours).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


SANITY = Panel("sanity", "Sanity check", frame, answer)
