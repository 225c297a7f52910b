"""A panel: something about the explained cell that is computed on demand, below the explanation."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component
from PIL import Image

from geoexplain.explainer.target import Explained
from geoexplain.studio.asked import event_data, refusals, still_shown, whole_number
from geoexplain.studio.guards import CONCURRENCY_ID
from geoexplain.studio.models import Loaded, Models
from geoexplain.studio.places import asked_explained
from geoexplain.studio.scripts import call_module, start_module
from geoexplain.studio.work import Cancelled, Progress, messages


@dataclass(frozen=True, eq=False)
class Question:
    """What a panel is asked.

    loaded  the model that the page has chosen
    image   the picture on the page, as uploaded
    target  the cell that the page explains, not yet known to be one of the model's, or the cells of a place
    asked   what else the browser sent, taken for nothing until it is checked
    parts   the values of the panel's own components
    """

    loaded: Loaded
    image: Image.Image
    target: Explained
    asked: Mapping[str, Any]
    parts: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Panel:
    """One panel.

    name    of its files in assets/studio/panels, NAME.js and NAME.css, and of its events
    title   on its tab
    frame   its HTML, which the browser fills in; `work_controls` belongs into it
    answer  a question → what its script gets as the report's other keys, plain data; in a thread, and with network
            passes one question at a time. Raises a GeoExplainError for what it refuses, ExplanationCancelledError
            once it is called off.
    parts   makes Gradio components of its own, shown above the frame; their values come with every question
    """

    name: str
    title: str
    frame: Callable[[], str]
    answer: Callable[[Question, Progress, Cancelled], dict[str, Any]]
    parts: Callable[[], list[Component]] = list


def work_controls(label: str) -> str:
    """The button that asks, which the panel's script enables, the bar, and the button that calls it off."""
    return (
        f'<div class="ge-work"><button type="button" class="ge-start ge-primary" disabled>{escape(label)}</button>'
        '<div class="ge-running" hidden><progress></progress><span class="ge-count" role="status"></span>'
        '<button type="button" class="ge-cancel">Cancel</button></div></div>'
    )


def add_panel(panel: Panel, models: Models, image: Component, chosen: Component) -> None:
    """Put a panel where the layout is, and wire it: it asks with `ask`, and calls that off with `stop`.

    A report reaches the browser as the prop `report`: {"run", "state": "running", "done", "total"}, and at the end
    {"run", "state": "done"} with what `answer` returned.
    """
    parts = panel.parts()
    component = gr.HTML(
        None,
        html_template=panel.frame(),
        js_on_load=start_module(f"panels/{panel.name}.js", "ask", "stop"),
        apply_default_css=False,
        report=None,
        elem_id=f"panel-{panel.name}",
        elem_classes="ge-trust",
    )

    def ask(event: gr.EventData, picture: Image.Image | None, name: Any, *values: Any) -> Iterator[Any]:
        asked = event_data(event)
        shown, run = still_shown(picture, name, asked), whole_number(asked.get("run"))
        loaded = _loaded(models, name)
        question = Question(loaded, shown, asked_explained(loaded, asked), asked, values)
        with closing(messages(run, partial(panel.answer, question))) as heard:
            for message in heard:
                yield gr.HTML(report=message)

    network: dict[str, Any] = {
        "concurrency_id": CONCURRENCY_ID,
        "show_progress": "hidden",
        "api_visibility": "private",
        "trigger_mode": "multiple",
    }
    asked = component.ask(ask, [image, chosen, *parts], component, **network)
    asked.failure(None, js=call_module("asking.js", "endWork", panel.name))
    component.stop(None, cancels=[asked], api_visibility="private")


def _loaded(models: Models, name: Any) -> Loaded:
    with refusals():
        return models[name]
