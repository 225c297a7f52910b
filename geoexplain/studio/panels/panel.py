"""The type of a panel, which computes something about the explained cell on demand, and its wiring."""

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
    """A request to a panel.

    loaded  the model that the page has chosen
    image   the picture on the page, as uploaded
    target  the cell that the page explains (unchecked), or the cells of a place
    asked   the rest of the browser's data, untrusted
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

    name    name of its events and of its files in assets/studio/panels: NAME.js and NAME.css
    title   title of its tab
    frame   returns its HTML, which includes `work_controls` and which the browser fills in
    answer  returns the answer to a question as plain data, which its script receives as further keys of the report.
            It runs in a thread, one question at a time. Raises a GeoExplainError for what it refuses,
            ExplanationCancelledError when cancelled.
    parts   returns Gradio components of its own, shown above the frame; their values come with every question
    """

    name: str
    title: str
    frame: Callable[[], str]
    answer: Callable[[Question, Progress, Cancelled], dict[str, Any]]
    parts: Callable[[], list[Component]] = list


def work_controls(label: str) -> str:
    """Return the button that starts the work, which the panel's script enables, a progress bar, and a Cancel button."""
    return (
        f'<div class="ge-work"><button type="button" class="ge-start ge-primary" disabled>{escape(label)}</button>'
        '<div class="ge-running" hidden><progress></progress><span class="ge-count" role="status"></span>'
        '<button type="button" class="ge-cancel">Cancel</button></div></div>'
    )


def add_panel(panel: Panel, models: Models, image: Component, chosen: Component) -> None:
    """Add a panel to the current layout and connect its events: `ask` starts its work, `stop` cancels it.

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
        with closing(messages(run, partial(panel.answer, question))) as reported:
            for message in reported:
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
