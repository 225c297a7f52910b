"""What happens when a person or a script asks for something. Nothing is kept between two calls."""

import json
import math
import queue
import threading
from collections.abc import Iterator
from typing import Any

import gradio as gr
from PIL import Image

from geoexplain.errors import GeoExplainError
from geoexplain.explainer.cams import score_cam
from geoexplain.explainer.explanation import Explanation, explain, locate
from geoexplain.locator.model import GeoModel
from geoexplain.studio.examples import Example, examples, find_example
from geoexplain.studio.payload import (
    EXPLAINING,
    LOCATING,
    QUIET,
    REFUSED,
    WORDS_EMPTY,
    answer_payload,
    explanation_payload,
    score_cam_payload,
)
from geoexplain.view.export import prediction_record
from geoexplain.view.overlay import overlay
from geoexplain.view.worldmap import world_map_html

STATIC_URL = "gradio_api/file="
"""Where Gradio serves static files, relative to the page: also right when the app is mounted below another path."""


class Handlers:
    """The handlers of one studio: bound to its model and to whether the map may ask a tile server."""

    def __init__(self, model: GeoModel, *, assets_url: str, tiles: bool = False):
        self.model, self.tiles = model, tiles
        self.leaflet_url, self.world_url = f"{assets_url}/leaflet", f"{assets_url}/world"

    def show(self, image: Image.Image | None, record: Any) -> Iterator[tuple[Any, Any, Any, Any]]:
        """A new image, or none → map, answer and explanation of the top cell, and the image's record as it came."""
        if image is None:
            empty = gr.HTML(value={"words": WORDS_EMPTY}, status=QUIET)
            yield gr.HTML(value=None, target=None), empty, gr.HTML(value=None), None
            return
        yield gr.skip(), gr.HTML(status=LOCATING), gr.skip(), gr.skip()
        explanation = self._explain(image, None, "probability")
        example = find_example(explanation.image)
        page = world_map_html(
            explanation.prediction,
            self.model.partition,
            target=explanation.target,
            truth_deg=None if example is None else (example.lat_deg, example.lon_deg),
            leaflet_url=self.leaflet_url,
            world_url=self.world_url,
            tiles=self.tiles,
        )
        yield (
            gr.HTML(value={"page": page}, target=explanation.target),
            self._answer(explanation, example),
            gr.HTML(value=explanation_payload(self.model, explanation)),
            record,
        )

    def show_cell(self, image: Image.Image | None, event: gr.EventData) -> Iterator[tuple[Any, Any, Any]]:
        """Another cell chosen in the table, on the map, or another score → the same image explained anew."""
        if image is None:
            yield gr.skip(), gr.skip(), gr.skip()
            return
        yield gr.skip(), gr.HTML(status=EXPLAINING), gr.skip()
        chosen = event._data or {}
        if "cell" in chosen:
            target: Any = _whole_number(chosen["cell"])
        else:
            target = (_number(chosen.get("lat")), (_number(chosen.get("lng")) + 180) % 360 - 180)
        score = str(chosen.get("score", "probability"))
        explanation = self._explain(image, target, score)
        yield (
            gr.HTML(target=explanation.target),
            self._answer(explanation, find_example(explanation.image)),
            gr.HTML(value=explanation_payload(self.model, explanation)),
        )

    def refused(self) -> Any:
        """After a failure → its words beside the answer that still stands."""
        return gr.HTML(status=REFUSED)

    def pick_example(self, event: gr.EventData) -> str:
        """A tile of the gallery → the example's file."""
        index = _whole_number((event._data or {}).get("index"))
        if not 0 <= index < len(examples()):
            raise gr.Error(f"Expected an example from 0 to {len(examples()) - 1}, got {index}.", print_exception=False)
        return str(examples()[index].file)

    def run_score_cam(self, image: Image.Image | None, event: gr.EventData) -> Iterator[Any]:
        """Score-CAM of the deepest stage, reporting after every chunk; stops when the browser cancels or goes away."""
        if image is None:
            return
        chosen = event._data or {}
        run = _whole_number(chosen.get("run"))
        explanation = self._explain(image, _whole_number(chosen.get("cell")), str(chosen.get("score")))
        reports: queue.Queue[Any] = queue.Queue()
        cancelled = threading.Event()

        def work() -> None:
            try:
                reports.put(
                    score_cam(
                        self.model,
                        explanation.tensor,
                        explanation.trace,
                        explanation.trace.stages[-1],
                        progress=lambda done, total: reports.put((done, total)),
                        cancelled=cancelled.is_set,
                    )
                )
            except Exception as error:  # noqa: BLE001 - handed over to the thread that answers the browser
                reports.put(error)

        threading.Thread(target=work, daemon=True).start()
        try:
            while True:
                report = reports.get()
                if isinstance(report, Exception):
                    raise report
                if not isinstance(report, tuple):
                    yield gr.HTML(score_cam=score_cam_payload(report, run))
                    return
                yield gr.HTML(score_cam={"state": "running", "run": run, "done": report[0], "total": report[1]})
        except GeoExplainError as error:
            raise gr.Error(str(error), print_exception=False) from None
        finally:
            cancelled.set()

    def api_locate(self, image: Image.Image | None) -> dict[str, Any]:
        """The record that `geoexplain locate --json` prints, without the image's name."""
        if image is None:
            raise gr.Error("Expected an image, got none.", print_exception=False)
        return prediction_record("", self.model, locate(image, self.model))

    def api_combi_cam(  # noqa: PLR0917 - Gradio passes inputs by position
        self,
        image: Image.Image | None,
        target: float | None,
        method: str,
        level: str,
        score: str,
        how: str,
        weights: str,
    ) -> Image.Image:
        """Combi-CAM over the image: what the browser draws, from the Python functions.

        target   cell, or None for the top one
        weights  JSON list, one number per stage or block; empty for 1 each
        """
        if image is None:
            raise gr.Error("Expected an image, got none.", print_exception=False)
        try:
            numbers = tuple(float(weight) for weight in json.loads(weights)) if weights.strip() else None
        except (TypeError, ValueError, OverflowError, RecursionError):
            raise gr.Error('Expected weights as a JSON list such as "[1, 0.5, 0]".', print_exception=False) from None
        explanation = self._explain(image, None if target is None else _whole_number(target), score)
        try:
            heatmap = explanation.combi_cam(numbers, method=method, level=level, how=how)
        except GeoExplainError as error:
            raise gr.Error(str(error), print_exception=False) from None
        return overlay(self.model.preprocess.view(explanation.image), heatmap.values)

    def _answer(self, explanation: Explanation, example: Example | None) -> Any:
        answer = answer_payload(self.model, explanation.prediction, explanation.target, example)
        return gr.HTML(value=answer, status=QUIET)

    def _explain(self, image: Image.Image, target: Any, score: str) -> Explanation:
        try:
            return explain(image, self.model, target=target, score=score)
        except GeoExplainError as error:
            raise gr.Error(str(error), print_exception=False) from None


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise gr.Error("Expected a number, got something else.", print_exception=False) from None


def _whole_number(value: Any) -> int:
    number = _number(value)
    if not (math.isfinite(number) and abs(number) <= 2**32 and number == int(number)):
        raise gr.Error(f"Expected a whole number, got {value}.", print_exception=False)
    return int(number)
