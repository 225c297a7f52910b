"""The panel of faithfulness: scores of every explanation of the image by every metric, with deletion and insertion."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.explainer.faithfulness import METRICS, metric_name
from geoexplain.explainer.standing import Standing, find_standing
from geoexplain.explainer.subject import Measure, pixel_ranks
from geoexplain.explainer.table import ExplanationKind
from geoexplain.explainer.trial import MeasuredExplanation, custom_combination, try_explanations
from geoexplain.explainer.tuned import candidates_of, traced_candidates
from geoexplain.images import Preprocess
from geoexplain.studio.panels.panel import Panel, Question, work_controls
from geoexplain.studio.payload import data_url
from geoexplain.studio.tuning import setting_of
from geoexplain.studio.work import Cancelled, Progress
from geoexplain.words import decimal, exact_percent, listed, percent, printable

STEPS = (10, 25, 50)
"""Steps of deletion and insertion to choose from."""

AS_SET = "as-set"
"""The row of Combi-CAM with the page's setting."""

AXIS = (0, 0.5, 1)
"""Positions of the labels along the curves' axes, as fractions of their length."""


def frame() -> str:
    """Return the panel's HTML: controls, table and curves, which the browser fills in."""
    steps = "".join(f'<option value="{n}"{" selected" if n == 25 else ""}>{n} steps</option>' for n in STEPS)
    heads = "".join(
        f'<th scope="col" data-metric="{name}" title="{escape(f"{metric.title}. {metric.source}")}">'
        f"<span>{escape(metric.title)}</span><i>{'higher' if metric.higher else 'lower'} is better</i></th>"
        for name, metric in METRICS.items()
    )
    return f"""
<section class="ge-panel-body ge-faith ge-ui" data-state="empty" aria-label="Faithfulness">
  <p class="ge-trust-words">Hide what a heatmap marks: does the probability of the cell fall? Show only that: does it
    come back? A heatmap that is true of the network does better than a random one, than a blot in the centre and than
    the edges of the image, which know nothing of the network.</p>
  <div class="ge-ask">{work_controls("Measure all methods")}
    <label>Curves of <select data-choice="steps">{steps}</select></label>
    <label><input type="checkbox" data-choice="score-cam"> with Score-CAM, which takes long</label></div>
  <div class="ge-faith-result" hidden>
    <p class="ge-caption" id="ge-scores-caption"></p>
    <div class="ge-scroll"><table class="ge-scores" aria-describedby="ge-scores-caption">
      <thead><tr><th scope="col">Explanation</th>{heads}
        <th scope="col" data-metric="time"><span>Time to draw</span><i>seconds</i></th></tr></thead>
      <tbody></tbody><tfoot></tfoot></table></div>
    <p class="ge-reading"></p>
    <div class="ge-curves">
      <figure class="ge-step"><div class="ge-step-picture"><canvas></canvas></div>
        <figcaption></figcaption></figure>
      <div class="ge-curve-box" data-curve="deletion"><h3>Deletion: the most important first</h3>
        <svg viewBox="0 0 400 220" role="img"></svg></div>
      <div class="ge-curve-box" data-curve="insertion"><h3>Insertion: the most important first</h3>
        <svg viewBox="0 0 400 220" role="img"></svg></div>
      <label class="ge-step-choice">Step <input type="range" min="0" step="1" value="0"><output></output></label>
    </div>
  </div>
</section>"""


def answer(question: Question, progress: Progress, cancelled: Cancelled) -> dict[str, Any]:
    """Return the scores for the page's image and cell. Raises DataError for invalid steps or settings."""
    asked, model = question.asked, question.loaded.model
    steps = asked.get("steps")
    if type(steps) is not int or steps not in STEPS:
        raise DataError(
            f"expected steps out of {listed(STEPS, 'or')}, got {printable(str(steps))!r}: choose some of these."
        )
    candidates = {AS_SET: as_set(asked.get("combi"))}
    candidates |= candidates_of(model) if asked.get("scoreCam") is True else traced_candidates(model)
    trial = try_explanations(
        model,
        model.tensor(question.image),
        question.target,
        candidates,
        steps=steps,
        progress=progress,
        cancelled=cancelled,
    )
    names = {metric: metric_name(metric, steps) for metric in METRICS}
    stands = {metric: find_standing(trial, metric, name) for metric, name in names.items()}
    rows = [row_of(one, names, steps) for one in trial.explanations]
    highest = highest_probability(rows)
    return {
        "steps": steps,
        "names": names,
        "rows": rows,
        "standing": {metric: list(one.outstanding) for metric, one in stands.items()},
        "limits": {metric: one.limit for metric, one in stands.items()},
        "limit_words": {metric: limit_text(metric, one.limit) for metric, one in stands.items()},
        "highest": highest,
        "across": [exact_percent(part) for part in AXIS],
        "up": [decimal(part * highest) for part in AXIS],
        "reading": reading(stands, {one.name: one.title for one in trial.explanations}),
        "size": list(trial.subject.size_hw),
        "image": data_url(picture(model.preprocess, trial.subject.tensor)),
        "blurred": data_url(picture(model.preprocess, trial.subject.blurred)),
        "blank": [round(255 * mean) for mean in model.preprocess.mean],
    }


def as_set(combi: Any) -> ExplanationKind:
    """Return the candidate for the page's setting of Combi-CAM. Raises DataError for an invalid setting."""
    method, setting = setting_of(combi)
    candidate = custom_combination(method, setting.level, setting.how, setting.weights)
    # This panel measures only the probability, even if the page explains the logit.
    return (
        replace(candidate, title=f"{candidate.title}, of the probability")
        if combi.get("score") == "logit"
        else candidate
    )


def row_of(one: MeasuredExplanation, names: dict[str, str], steps: int) -> dict[str, Any]:
    """Return one explanation as data; "order" holds for each pixel the step at which it is changed."""
    measures = {measure.name: measure for measure in one.measures}
    return {
        "name": one.name,
        "title": one.title,
        "baseline": one.baseline,
        "figures": {
            **{metric: figure(metric, measures[name].value) for metric, name in names.items()},
            "time": decimal(None if one.baseline else one.drawing_s, 3 if one.drawing_s < 0.1 else 1),
        },
        "values": {metric: measures[name].value for metric, name in names.items()},
        "reasons": {metric: measures[name].reason or "" for metric, name in names.items()},
        "curves": {metric: curve_of(measures[names[metric]]) for metric in ("deletion", "insertion")},
        "order": None if one.heatmap.flat else base64.b64encode(turns(one.heatmap.values, steps)).decode("ascii"),
    }


def figure(metric: str, value: float | None) -> str:
    """Return a metric's value as in the table: percentages as whole numbers, others with three decimals."""
    return decimal(value, 0 if METRICS[metric].most == 100 else 3)


def limit_text(metric: str, limit: float | None) -> str:
    """Return the limit that a method has to pass, as text: "above 0.123"."""
    if limit is None:
        return figure(metric, None)
    return f"{'above' if METRICS[metric].higher else 'below'} {figure(metric, limit)}"


def highest_probability(rows: Sequence[Mapping[str, Any]]) -> float:
    """Return the upper end of the curves' axis: their highest probability, rounded up to a multiple of 0.05."""
    curves = [curve["probabilities"] for row in rows for curve in row["curves"].values() if curve is not None]
    return math.ceil(20 * max([0.05, *(max(one) for one in curves)])) / 20


def curve_of(measure: Measure) -> dict[str, list[Any]] | None:
    """Return a curve's shares of pixels and probabilities, as numbers and text; None if there is no curve."""
    if measure.shares is None or measure.probabilities is None:
        return None
    return {
        "shares": measure.shares.tolist(),
        "probabilities": measure.probabilities.tolist(),
        "pixels": [percent(share) for share in measure.shares],
        "percent": [percent(share) for share in measure.probabilities],
    }


def turns(values: np.ndarray, steps: int) -> bytes:
    """Return for each pixel of a heatmap (H, W), row by row, the step (1 … steps ≤ 255) at which it is changed."""
    counts = np.arange(steps + 1) * values.size // steps
    return np.searchsorted(counts, pixel_ranks(values), side="right").astype(np.uint8).tobytes()


def reading(stands: Mapping[str, Standing], titles: Mapping[str, str]) -> str:
    """Return the table as text: which methods stand out from chance, and where a map without knowledge leads."""
    named = {metric: METRICS[metric].title.removesuffix(", %") for metric in stands}
    outstanding = [
        f"{named[metric]} ({', '.join(titles[name] for name in one.outstanding)})"
        for metric, one in stands.items()
        if one.outstanding
    ]
    if outstanding:
        words = (
            f"Beyond chance, and better than every map that knows nothing of the network, by: {'; '.join(outstanding)}."
        )
    else:
        words = (
            "By no metric does a method stand out from chance and from the maps that know nothing of the network: on "
            "this image the same maps moved elsewhere, or one of those, do as well."
        )
    ahead = [f"{named[metric]} ({', '.join(one.ahead)})" for metric, one in stands.items() if one.ahead]
    if ahead:
        words += f" A map that knows nothing of the network has the best value by: {'; '.join(ahead)}."
    return f"{words} One image ranks no methods: “geoexplain evaluate explanations” compares them over many."


def picture(preprocess: Preprocess, tensor: Tensor) -> Image.Image:
    """Return a normalised image (1, 3, H, W) as a picture."""
    mean, std = (np.array(values)[:, None, None] for values in (preprocess.mean, preprocess.std))
    pixels = np.clip(255 * (tensor[0].cpu().numpy() * std + mean), 0, 255).round().astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))


FAITHFULNESS = Panel("faithfulness", "Faithfulness", frame, answer)
