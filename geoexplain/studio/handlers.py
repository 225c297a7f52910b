"""Event handlers of the studio and of its API. They keep no state between two calls."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import gradio as gr
from PIL import Image

from geoexplain.errors import GeoExplainError
from geoexplain.explainer.explanation import Explanation, explain, locate
from geoexplain.explainer.table import PERTURBATION_CAM, kinds_of_family
from geoexplain.images import open_image
from geoexplain.locator.model import GeoModel, LocalizableRule
from geoexplain.locator.prediction import Prediction, predict
from geoexplain.studio.answer import EXPLAINING, LOCATING, QUIET, REFUSED, WORDS_EMPTY, answer_payload, loading
from geoexplain.studio.asked import event_data, number, refusals, still_shown, whole_number
from geoexplain.studio.examples import Example, examples, find_example
from geoexplain.studio.models import Loaded, Models
from geoexplain.studio.payload import explanation_payload, on_demand_payload
from geoexplain.studio.places import Place, asked_explained, asked_place, asked_target
from geoexplain.studio.tuning import tuned_for_image
from geoexplain.studio.work import Cancelled, Progress, messages
from geoexplain.view.export import prediction_record
from geoexplain.view.overlay import overlay
from geoexplain.view.worldmap import world_map_html


class Handlers:
    """The handlers of one studio. They know its models, and whether the map may load online tiles.

    Every call names the model that answers: each browser session chooses its own.
    """

    def __init__(self, models: Models, *, assets_url: str, tiles: bool = False):
        self.models, self.tiles = models, tiles
        self.leaflet_url, self.world_url = f"{assets_url}/leaflet", f"{assets_url}/world"
        self._warm_up = threading.Lock()

    def offered(self) -> Any:
        """Return the current models for a page that has just been opened."""
        return gr.HTML(rows=model_rows(self.models))

    def warm_up(self) -> None:
        """Locate and explain an example once, so that the first visitor's image is not slower than later ones.

        The first pass takes ten times as long as the second, since memory is allocated and borders are read. Later
        calls return at once.
        """
        if self._warm_up.acquire(blocking=False):  # never released: once is enough
            self._everything(open_image(examples()[0].file), self.models.start, self._loaded(self.models.start))

    def show(self, image: Image.Image | None, record: Any, name: Any) -> Iterator[tuple[Any, Any, Any, Any, Any]]:
        """Locate a new image; yield map, answer and explanation of the top cell, or empty ones without an image.

        The image's record and the model's name are returned unchanged along with the answer.
        """
        if image is None:
            yield *_nothing(), None, gr.skip()
            return
        yield gr.skip(), gr.HTML(status=LOCATING), gr.skip(), gr.skip(), gr.skip()
        yield *self._everything(image, name, self._loaded(name)), record, name

    def switch(self, image: Image.Image | None, name: Any) -> Iterator[tuple[Any, Any, Any, Any]]:
        """Locate and explain the image on the page, if there is one, with another model."""
        title = next((row.title for row in self.models.offered() if row.name == name), "the model")
        yield gr.skip(), gr.HTML(status=loading(title)), gr.skip(), gr.skip()
        loaded = self._loaded(name)
        yield *(_nothing() if image is None else self._everything(image, name, loaded)), name

    def show_cell(self, image: Image.Image | None, name: Any, event: gr.EventData) -> Iterator[tuple[Any, Any, Any]]:
        """Explain another cell or place, chosen in the answer or on the map, or another score."""
        chosen = event_data(event)
        if image is None or chosen.get("model", name) != name:  # the page has moved on
            yield gr.skip(), gr.skip(), gr.skip()
            return
        yield gr.skip(), gr.HTML(status=EXPLAINING), gr.skip()
        score = str(chosen.get("score", "probability"))
        loaded = self._loaded(name)
        place = asked_place(loaded, chosen)
        explanation = _explain(image, loaded.model, asked_target(loaded, chosen), score)
        yield (
            gr.HTML(target=None if place else explanation.target, place=place and place.shape(loaded)),
            *_answered(
                name, loaded, explanation, _searched(loaded, explanation), find_example(explanation.image), place=place
            ),
        )

    def refused(self) -> Any:
        """Show that a request failed; the last answer stays."""
        return gr.HTML(status=REFUSED)

    def pick_example(self, event: gr.EventData) -> str:
        """Return the file of the example whose tile was clicked. Raises gr.Error for an index out of range."""
        index = whole_number(event_data(event).get("index"))
        if not 0 <= index < len(examples()):
            raise gr.Error(f"Expected an example from 0 to {len(examples()) - 1}, got {index}.", print_exception=False)
        return str(examples()[index].file)

    def run_score_cam(self, image: Image.Image | None, name: Any, event: gr.EventData) -> Iterator[Any]:
        """Draw a perturbation CAM such as Score-CAM; yield progress; stop when the browser cancels or leaves."""
        chosen = event_data(event)
        picture, run = still_shown(image, name, chosen), whole_number(chosen.get("run"))
        method, known = str(chosen.get("method")), tuple(kinds_of_family(PERTURBATION_CAM))
        if method not in known:
            raise gr.Error(f"Expected a method out of {known}, got {method[:100]!r}.", print_exception=False)
        loaded = self._loaded(name)
        model = loaded.model
        explanation = _explain(picture, model, asked_explained(loaded, chosen), str(chosen.get("score")))

        def work(progress: Progress, cancelled: Cancelled) -> dict[str, Any]:
            return on_demand_payload(explanation.draw(method, model, progress=progress, cancelled=cancelled))

        with closing(messages(run, work)) as reported:
            for message in reported:
                yield gr.HTML(score_cam=message)

    def run_tuning(self, image: Image.Image | None, name: Any, event: gr.EventData) -> Iterator[Any]:
        """Tune the weights for the page's image and cell or place; yield progress; stop likewise."""
        chosen = event_data(event)
        picture, run = still_shown(image, name, chosen), whole_number(chosen.get("run"))
        loaded, combi = self._loaded(name), chosen.get("combi")
        model, target = loaded.model, asked_explained(loaded, chosen)

        def work(progress: Progress, cancelled: Cancelled) -> dict[str, Any]:
            return tuned_for_image(model, picture, target, combi, progress=progress, cancelled=cancelled)

        with closing(messages(run, work)) as reported:
            for message in reported:
                yield gr.HTML(tuning=message)

    def api_locate(
        self,
        image: Image.Image | None,
        model: str = "",
        scale_km: float | None = None,
        threshold: float | None = None,
        search: bool = True,
    ) -> dict[str, Any]:
        """Return the record that `geoexplain locate --json` prints, without the image's name.

        model                a name of the menu; empty: the model that the server was started with
        scale_km, threshold  the rule for localizable; None: the model's own value
        search               whether to search the model's gallery, if it has one
        """
        if image is None:
            raise gr.Error("Expected an image, got none.", print_exception=False)
        loaded = self._loaded(model or self.models.start)
        within = loaded.search if search else None
        rule = loaded.model.rule
        with refusals():
            rule = LocalizableRule(
                rule.scale_km if scale_km is None else number(scale_km),
                rule.threshold if threshold is None else number(threshold),
            )
            prediction = locate(image, loaded.model, rule=rule, search=within)
        return prediction_record("", loaded.model, prediction, search=within, trees=loaded.trees)

    def api_combi_cam(  # noqa: PLR0917 - Gradio passes inputs by position
        self,
        image: Image.Image | None,
        target: float | None,
        method: str,
        level: str,
        score: str,
        how: str,
        weights: str,
        model: str = "",
    ) -> Image.Image:
        """Return Combi-CAM over the image, as the browser draws it, computed by the Python functions.

        target   the cell to explain; None: the top cell
        weights  JSON list, one number per stage or block; empty for 1 each
        model    a name of the menu; empty: the model that the server was started with
        """
        if image is None:
            raise gr.Error("Expected an image, got none.", print_exception=False)
        try:
            numbers = tuple(float(weight) for weight in json.loads(weights)) if weights.strip() else None
        except (TypeError, ValueError, OverflowError, RecursionError):
            raise gr.Error('Expected weights as a JSON list such as "[1, 0.5, 0]".', print_exception=False) from None
        loaded = self._loaded(model or self.models.start)
        explanation = _explain(image, loaded.model, None if target is None else whole_number(target), score)
        with refusals():
            heatmap = explanation.combi_cam(numbers, method=method, level=level, how=how)
        return overlay(loaded.model.preprocess.view(explanation.image), heatmap.values)

    def _loaded(self, name: Any) -> Loaded:
        with refusals():
            return self.models[name]

    def _everything(self, image: Image.Image, name: str, loaded: Loaded) -> tuple[Any, Any, Any]:
        explanation = _explain(image, loaded.model, None, "probability")
        example = find_example(explanation.image)
        searched = _searched(loaded, explanation)
        page = world_map_html(
            searched[0],
            loaded.model.partition,
            unsearched=explanation.prediction,
            target=explanation.target,
            truth_deg=None if example is None else (example.lat_deg, example.lon_deg),
            leaflet_url=self.leaflet_url,
            world_url=self.world_url,
            tiles=self.tiles,
        )
        on_map = gr.HTML(value={"page": page}, target=explanation.target, place=None)
        return on_map, *_answered(name, loaded, explanation, searched, example)


def model_rows(models: Models) -> list[dict[str, Any]]:
    """Return the menu of models for the browser, without any path."""
    return [
        {"name": row.name, "title": row.title, "purpose": row.purpose, "ready": row.ready, "note": row.note}
        for row in models.offered()
    ]


def _nothing() -> tuple[Any, Any, Any]:
    empty = gr.HTML(value={"words": WORDS_EMPTY}, status=QUIET)
    return gr.HTML(value=None, target=None, place=None), empty, gr.HTML(value=None)


def _answered(
    name: str,
    loaded: Loaded,
    explanation: Explanation,
    searched: tuple[Prediction, str],
    example: Example | None,
    *,
    place: Place | None = None,
) -> tuple[Any, Any]:
    found, trouble = searched
    answer = answer_payload(name, loaded, explanation, found, example, trouble=trouble, place=place)
    return (
        gr.HTML(value=answer, status=QUIET),
        gr.HTML(value=explanation_payload(name, loaded.model, explanation, place)),
    )


def _explain(image: Image.Image, model: GeoModel, target: Any, score: str) -> Explanation:
    with refusals():
        return explain(image, model, target=target, score=score)


def _searched(loaded: Loaded, explanation: Explanation) -> tuple[Prediction, str]:
    """Return the prediction with Search within Cell, from the same pass; if that fails, the one without, and why."""
    if loaded.search is None:
        return explanation.prediction, loaded.trouble
    trace = explanation.trace
    try:
        return predict(
            loaded.model,
            trace.logits,
            features=trace.features,
            statistics=trace.statistics,
            search=loaded.search,
        ), ""
    except GeoExplainError as error:
        return explanation.prediction, str(error)
