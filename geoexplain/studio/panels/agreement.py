"""The panel of agreement: the rank correlation of every two heatmaps of the explained cell."""

import math
from html import escape
from typing import Any

from geoexplain.errors import DataError
from geoexplain.explainer.agreement import agreement, draw_all
from geoexplain.explainer.explanation import explain
from geoexplain.explainer.table import EXPLANATIONS, slow_kinds
from geoexplain.studio.panels.panel import Panel, Question, work_controls
from geoexplain.studio.work import Cancelled, Progress
from geoexplain.view.diverging import HERE_RGB, THERE_RGB
from geoexplain.words import decimal, listed, printable


def frame() -> str:
    """Return the panel's HTML: a text on agreement, the button, and the table, which the browser fills in."""
    colours = f"--ge-here: rgb{HERE_RGB}; --ge-there: rgb{THERE_RGB}"
    boxes = "".join(
        f'<label><input type="checkbox" data-slow="{name}"> {escape(kind.title)}</label>'
        for name, kind in slow_kinds().items()
    )
    return f"""
<section class="ge-panel-body ge-agree ge-ui" data-state="empty" style="{colours}" aria-label="Agreement">
  <p class="ge-trust-words">Methods that agree may all be wrong: they look at the same activations, some by nearly the
    same formula. Agreement says whether it matters which map you look at, not whether any of them is true.</p>
  <div class="ge-ask">{work_controls("Compare the methods")}
    <span>with, which take longer:</span>{boxes}</div>
  <div class="ge-agree-result" hidden>
    <div class="ge-scroll"><table class="ge-matrix"><caption></caption><thead><tr></tr></thead>
      <tbody></tbody></table></div>
    <p class="ge-matrix-key"><span>−1: what one marks the other leaves out</span><i></i>
      <span>1: the same order of all pixels; 0: no relation; – : a flat map, which has no order</span>
      <span>Without colour: no more than two unrelated maps as coarse as these reach in 99 of 100 cases</span></p>
  </div>
</section>"""


def answer(question: Question, progress: Progress, cancelled: Cancelled) -> dict[str, Any]:
    """Return the matrix for the page's image and cell; "slow" names explanations with further passes to include.

    Raises DataError for a name that is not among `slow_kinds`.
    """
    chosen, known = question.asked.get("slow"), tuple(slow_kinds())
    if not isinstance(chosen, list) or not all(name in known for name in chosen):
        raise DataError(
            f"expected explanations out of {listed(known)}, got {printable(str(chosen))!r}: reload the page."
        )
    model = question.loaded.model
    explanation = explain(question.image, model, target=question.target)
    heatmaps = draw_all(model, explanation.tensor, explanation.trace, cancelled=cancelled)
    for name in known:
        if name in chosen:
            heatmaps[name] = explanation.draw(name, model, progress=progress, cancelled=cancelled)
    matrix = agreement(heatmaps)
    return {
        "titles": [EXPLANATIONS[name].title for name in matrix.names],
        "names": list(matrix.names),
        "rows": [[None if math.isnan(value) else value for value in row] for row in matrix.correlations.tolist()],
        "figures": [[decimal(value) for value in row] for row in matrix.correlations.tolist()],
        "limits": [
            ["" if math.isnan(value) else f"±{decimal(value)}" for value in row] for row in matrix.limits.tolist()
        ],
        "told": matrix.beyond_chance().tolist(),
    }


AGREEMENT = Panel("agreement", "Do the methods agree?", frame, answer)
