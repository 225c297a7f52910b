"""The panel of the sanity check: each explanation while the weights become random, from the head to the stem."""

import base64
import io
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.equivalence import TOO_FEW, Equivalence
from geoexplain.explainer.intervals import FEWEST
from geoexplain.explainer.sanity import CASCADES, SanityCheck, draw_heatmaps, sanity_checks
from geoexplain.explainer.sanity import DRAWS as USUAL_DRAWS
from geoexplain.explainer.sanity_verdict import (
    DEPENDS,
    DEPENDS_BELOW,
    NO_MAP,
    PARTLY,
    SURVIVES,
    SURVIVES_ABOVE,
    interval_text,
    two_decimals_text,
)
from geoexplain.explainer.tuned import traced_candidates
from geoexplain.studio.panels.panel import Panel, Question, work_controls
from geoexplain.studio.work import Cancelled, Progress
from geoexplain.view.overlay import COLORMAPS, colormap_lut, normalise
from geoexplain.words import about, counted, decimal, listed, plural, printable

DRAWS = (5, 10, 20, 40)
"""Numbers of draws of the random weights to choose from."""

MOST_DRAWS = 100
"""Largest number of draws: while one visitor's check runs, all others wait."""

THUMBNAIL_PX = 64
"""Longer side of a thumbnail."""

VERDICTS = {
    DEPENDS: "depends on what was learnt",
    PARTLY: "partly the image's own",
    SURVIVES: "survives random weights",
    TOO_FEW: "too few draws to tell",
    NO_MAP: "no map",
}
"""Short texts for the verdicts of SanityCheck."""


def frame() -> str:
    """Return the panel's HTML: controls and the table, whose rows the browser fills in."""
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
    <p class="ge-more-draws" hidden><span></span> <button type="button"></button></p>
    <p class="ge-reading">Below each map: its resemblance to the original one, the mean over the draws; the first
      {CASCADES} are also looked at part by part, and the maps are those of the first. 1 is the same map, also upside
      down; 0 is what two unrelated maps as coarse as these reach (rank correlation without its sign, beyond chance). A
      verdict needs an interval that lies as a whole below {DEPENDS_BELOW:g}, between, or above {SURVIVES_ABOVE:g}. One
      image is weak evidence:
      <code>geoexplain evaluate sanity</code> looks at many.</p>
  </div>
</section>"""


def answer(question: Question, progress: Progress, cancelled: Cancelled) -> dict[str, Any]:
    """Return the check of the page's image and cell. Raises DataError for invalid draws or an unknown colormap."""
    draws, colormap = question.asked.get("draws"), question.asked.get("colormap")
    if type(draws) is not int or not FEWEST <= draws <= MOST_DRAWS:
        raise DataError(f"expected {FEWEST} to {MOST_DRAWS} draws, got {printable(str(draws))!r}: reload the page.")
    if not isinstance(colormap, str) or colormap not in COLORMAPS:
        raise DataError(
            f"expected colours out of {listed(COLORMAPS)}, got {printable(str(colormap))!r}: reload the page."
        )
    model = question.loaded.model
    tensor = model.tensor(question.image)
    candidates = traced_candidates(model)
    strips: dict[str, list[str | None]] = {name: [] for name in candidates}

    def show_maps(draw: int, _step: int, drawn: Mapping[str, Heatmap]) -> None:
        if draw == 0:
            for name, heatmap in drawn.items():
                strips[name].append(thumbnail(heatmap, colormap))

    show_maps(0, 0, draw_heatmaps(model, tensor, question.target, candidates))
    checks = sanity_checks(
        model,
        tensor,
        question.target,
        candidates,
        draws=draws,
        on_maps=show_maps,
        progress=progress,
        cancelled=cancelled,
    )
    steps = next(iter(checks.values())).steps
    return {
        "draws": draws,
        "steps": list(steps),
        "rows": [row_of(candidates[name].title, check, strips[name]) for name, check in checks.items()],
        "more": more_draws(draws, [check.result for check in checks.values() if check.verdict == TOO_FEW]),
    }


def more_draws(draws: int, open_: Collection[Equivalence]) -> dict[str, Any] | None:
    """Return the offer of more draws if some methods have no verdict after `draws`; None if all have one.

    "draws" is the total number to request, None if no more are offered; "words" explain it, "label" is the button's.
    """
    if not open_:
        return None
    words = f"{counted(len(open_), 'method')} {plural(len(open_), 'is', 'are')} not settled."
    within = [one.more for one in open_ if one.more is not None and draws + one.more <= MOST_DRAWS]
    if within:
        more = max(within)
        words += f" {about(more, 'more draw')} should tell" + (
            " for all." if len(within) == len(open_) else " for some."
        )
    elif draws < MOST_DRAWS:
        more = MOST_DRAWS - draws
        words += f" More than {MOST_DRAWS} draws are likely to be needed, which are the most that are made here."
    else:
        return {"draws": None, "label": "", "words": f"{words} On this image they lie too near to a border."}
    return {"draws": draws + more, "label": f"Draw {more} more", "words": words}


def row_of(title: str, check: SanityCheck, maps: list[str | None]) -> dict[str, Any]:
    """Return one explanation as a row: its original map, then one map per step with its resemblance."""
    return {
        "name": check.candidate,
        "title": title,
        "verdict": check.verdict,
        "words": VERDICTS[check.verdict],
        "sentence": check.sentence,
        "interval": "" if check.verdict == NO_MAP else interval_of(check.result),
        "maps": maps,
        "resemblances": [decimal(value) for value in check.compared.mean_resemblances()],
        "similarities": [decimal(value) for value in check.compared.mean_similarities()],
    }


def interval_of(result: Equivalence) -> str:
    """Return a mean and its interval as text with minus signs: "0.06 (95 %: −0.03 to 0.15)"."""
    return f"{two_decimals_text(result.mean)} ({interval_text(result)})".replace("-", "−")


def thumbnail(heatmap: Heatmap, colormap: str) -> str | None:
    """Return a heatmap as a small PNG data URL; None if it is flat."""
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
