"""The panel of concept influence: how far an explanation lies on each concept beyond what its size would explain."""

import base64
import importlib.util
import os
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.concept_chance import FEWER, MORE, beyond_chance, chance_ranges
from geoexplain.explainer.concepts import (
    LARGEST_DILATION_PX,
    SMALLEST_SHARE,
    TOP_K,
    ConceptInfluence,
    concept_influence,
    dilate,
)
from geoexplain.explainer.explanation import Explanation, explain
from geoexplain.explainer.labeled_mask import read_labeled_mask
from geoexplain.explainer.segformer import SegFormer, load_segformer
from geoexplain.explainer.segmenters import LandCover
from geoexplain.explainer.subject import Subject
from geoexplain.explainer.table import TUNED, explanation_kind, network_kinds
from geoexplain.geography.footprint import Footprint
from geoexplain.studio.asked import number, whole_number
from geoexplain.studio.examples import find_example
from geoexplain.studio.guards import GuardedImage
from geoexplain.studio.panels.faithfulness import AS_SET, as_set
from geoexplain.studio.panels.panel import Panel, Question, work_controls
from geoexplain.studio.work import Cancelled, Progress
from geoexplain.view.influence import OCTAVES, bar_length
from geoexplain.words import decimal, exact_km, exact_percent, percent, position

SEGFORMER_VARIABLE = "GEOEXPLAIN_SEGFORMER"
"""Environment variable with the folder of the SegFormer that the server offers."""

LANDCOVER, MASK, SEGFORMER = "landcover", "mask", "segformer"

FIRST = "grad-cam"


def frame() -> str:
    """Return the panel's HTML: controls, bars, picture. The browser fills it in and moves the mask's upload into it."""
    named = {AS_SET: "Combi-CAM, as set above"}
    named |= {
        name: f"{kind.title} ({kind.passes})" if kind.passes else kind.title
        for name, kind in network_kinds().items()
        if name != TUNED
    }
    segmenters = {LANDCOVER: "Land cover, for views from above", MASK: "A mask that I have painted"}
    if segformer_folder() is not None:
        segmenters[SEGFORMER] = "What SegFormer finds, for photos"
    ticks = "".join(f"<span>{f'1/{2**-n}' if n < 0 else 2**n}</span>" for n in range(-OCTAVES, OCTAVES + 1))
    return f"""
<section class="ge-panel-body ge-concepts ge-ui" data-state="empty" aria-label="Concept influence">
  <p class="ge-trust-words">On what does the explanation lie: on the coast, on the ice, on a tower? A bar to the right
    means that more of its strongest pixels lie there than the size of the thing alone would explain, a bar to the left
    that fewer do: twice as many are 2, half as many 1/2. These pixels are a spot or two, which lie on something by
    chance: a bar has a colour only where it ends beyond what the same spots reach wherever they lie.</p>
  <div class="ge-ask">
    <label>Explanation <select data-choice="method">{_options(named, FIRST)}</select></label>
    <label>Concepts <select data-choice="segmenter">{_options(segmenters, LANDCOVER)}</select></label>
    <label class="ge-width" title="Its centre is then the predicted point, which tells ocean from lake">The view
      is <input type="number" data-choice="width" min="1" max="20000" step="any" placeholder="?"> km wide</label>
    {work_controls("Look under it")}
    <details class="ge-counting"><summary>How it is counted</summary><div>
      <label>Strongest pixels <input type="number" data-choice="k" min="1" step="1" value="{TOP_K}"></label>
      <label>Ignore what covers less than <input type="number" data-choice="share" min="0" max="100" step="any"
        value="{exact_percent(SMALLEST_SHARE).removesuffix(" %")}"> % of the image</label>
      <label>Grow every mask by <input type="number" data-choice="dilate" min="0" max="{LARGEST_DILATION_PX}" step="1"
        value="0"> px</label></div></details>
  </div>
  <div class="ge-painted" hidden><p>A PNG of the image's size, saved without smoothing, and a line for each of its
    colours. Nothing of it is kept.</p><div></div></div>
  <div class="ge-concepts-result" hidden>
    <figure>
      <div class="ge-concepts-picture"><canvas role="img"></canvas></div>
      <figcaption><label><input type="checkbox" data-choice="top" checked> <i></i>
        <span class="ge-top-words"></span></label><span class="ge-concepts-shown" role="status"></span></figcaption>
    </figure>
    <div class="ge-influences">
      <p class="ge-caption"></p>
      <ul class="ge-bars"></ul>
      <div class="ge-axis" aria-hidden="true"><div>{ticks}</div></div>
      <p class="ge-none">No concept covers enough of the image to count.</p>
      <div class="ge-ignored"><h3>Ignored</h3><ul></ul></div>
      <p class="ge-notes"></p>
    </div>
  </div>
</section>"""  # noqa: S608 - there is no SQL in it


def parts() -> list[Component]:
    """Return the inputs for a mask and its legend. The mask is checked as any upload, both again in `answer`."""
    return [
        GuardedImage(label="Mask", sources=["upload"], height=180, elem_id="concepts-mask", buttons=[]),
        gr.Textbox(
            label="Legend",
            lines=6,
            max_lines=6,
            placeholder="color,name\n#1e90ff,ocean\n#228b22,forest\n#000000,",
            elem_id="concepts-legend",
        ),
    ]


def answer(question: Question, progress: Progress, cancelled: Cancelled) -> dict[str, Any]:
    """Return concept influence on the page's image, masks as packed bits. Raises DataError for invalid input."""
    asked, model = question.asked, question.loaded.model
    segment = _segmenter(question)
    explanation = explain(question.image, model, target=question.target)
    position, source = _position(question, explanation)
    masks = segment(model.preprocess.view(explanation.image), position)
    heatmap = _drawn(question, explanation, progress, cancelled)
    dilation_px = whole_number(asked.get("dilate"))
    influence = concept_influence(
        heatmap.values,
        masks,
        k=whole_number(asked.get("k")),
        smallest_share=number(asked.get("share")) / 100,
        dilation_px=dilation_px,
    )
    chance = chance_ranges(influence, masks, dilation_px=dilation_px)
    k, size = int(influence.top.sum()), influence.top.size
    notes = [source]
    if heatmap.attribution is not None:
        attribution = heatmap.attribution
        notes.append(
            f"The attribution adds up to the change of the probability, {attribution.score_change:+.3g} from an image "
            f"of mean colour, but for {attribution.completeness_error:.2g} (completeness error)."
        )
    if influence.flat:
        notes.append("The explanation is flat: it puts no pixel before another.")
    elif influence.tied:
        notes.append(f"{influence.tied:,} of the strongest pixels are as strong as others, and chosen by their place.")
    return {
        "size": list(explanation.size_hw),
        "method": "Combi-CAM, as set"
        if asked.get("method") == AS_SET
        else explanation_kind(str(asked["method"])).title,
        "flat": influence.flat,
        "topWords": f"the {k:,} strongest pixels, {percent(k / size)} of all",
        "top": _bits(influence.top),
        "rows": [
            _row(one, dilate(mask, dilation_px), chance.get(one.concept))
            for one, mask in zip(influence.concepts, masks.values(), strict=True)
        ],
        "notes": " ".join(notes),
    }


def segformer_folder() -> str | None:
    """Return the folder of the SegFormer that the server offers; None without it or the package it needs."""
    folder = os.environ.get(SEGFORMER_VARIABLE)
    offered = folder and Path(folder).is_dir() and importlib.util.find_spec("transformers") is not None
    return folder if offered else None


@cache
def segformer(folder: str, device: str) -> SegFormer:
    """Return the SegFormer of a folder, loaded once. Raises DataError like load_segformer()."""
    return load_segformer(Path(folder), device=device)


def _segmenter(question: Question) -> Any:
    chosen, folder = question.asked.get("segmenter"), segformer_folder()
    model = question.loaded.model
    if chosen == LANDCOVER:
        return LandCover()
    if chosen == MASK:
        mask, legend = question.parts
        if mask is None or not isinstance(legend, str) or not legend.strip():
            raise DataError("expected a mask and its legend, got none: upload a PNG and say what its colours mean.")
        # A lone surrogate, which a browser may send, is refused there like all other invalid UTF-8.
        return read_labeled_mask(mask, legend.encode("utf-8", "surrogatepass"), question.image, model.preprocess)
    if chosen == SEGFORMER and folder is not None:
        return segformer(folder, str(model.device))
    raise DataError("expected a source of concepts that the page offers, got another: choose one of these.")


def _position(question: Question, explanation: Explanation) -> tuple[Footprint | None, str]:
    """Return the footprint of the image, if known, and a sentence on where it comes from."""
    if question.asked.get("segmenter") != LANDCOVER:
        return None, ""
    example, width = find_example(explanation.image), question.asked.get("width")
    if example is not None and example.side_km is not None:
        place = Footprint(example.lat_deg, example.lon_deg, example.side_km)
        return (
            place,
            f"Ocean and lakes by the map: the example's place is known, and it is {exact_km(example.side_km)} wide.",
        )
    if width is None:
        return None, "By colour alone: say how wide the view is to tell ocean from lake."
    share = question.loaded.model.preprocess.visible(explanation.image).width / explanation.image.width
    lat, lon = explanation.prediction.lat_deg, explanation.prediction.lon_deg
    sentence = f"Ocean and lakes by the map at the predicted point, {position(lat, lon)}: no better than that answer."
    return Footprint(lat, lon, number(width) * share), sentence


def _drawn(question: Question, explanation: Explanation, progress: Progress, cancelled: Cancelled) -> Heatmap:
    name, model = question.asked.get("method"), question.loaded.model
    if name == AS_SET:
        return as_set(question.asked.get("combi")).draw(Subject(model, explanation.tensor, explanation.trace))
    return explanation.draw(str(name), model, progress=progress, cancelled=cancelled)


def _row(one: ConceptInfluence, mask: NDArray[np.bool_], chance: tuple[float, float] | None) -> dict[str, Any]:
    return {
        "concept": one.concept,
        "share": percent(one.share),
        "tki": None if one.tki is None else percent(one.tki),
        "ci": None if one.ci is None else float(one.ci),
        "figure": decimal(one.ci),
        "length": 0.0 if one.ci is None else bar_length(one.ci),
        "chance": None if chance is None else [bar_length(end) for end in chance],
        "said": beyond_chance(one, chance),
        "words": _words(one, chance),
        "ignored": one.ignored,
        "mask": _bits(mask) if mask.any() else None,
    }


def _words(one: ConceptInfluence, chance: tuple[float, float] | None) -> str:
    if one.tki is None:
        return ""
    where = f"{percent(one.tki)} of the strongest pixels on {percent(one.share)} of the image"
    if chance is None:
        return where
    said = {MORE: "more than by chance", FEWER: "fewer than by chance", "": "as many as by chance"}
    return f"{where}, {said[beyond_chance(one, chance)]} ({chance[0]:.2f} to {chance[1]:.2f})"


def _bits(mask: NDArray[np.bool_]) -> str:
    """Encode a mask (H, W) as base64: one bit per pixel, row by row, the highest bit of each byte first."""
    return base64.b64encode(np.packbits(mask).tobytes()).decode("ascii")


def _options(titles: dict[str, str], chosen: str) -> str:
    return "".join(
        f'<option value="{escape(name)}"{" selected" if name == chosen else ""}>{escape(title)}</option>'
        for name, title in titles.items()
    )


CONCEPTS = Panel("concepts", "What lies under it?", frame, answer, parts=parts)
