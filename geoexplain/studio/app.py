"""Layout and wiring of the studio. Event handlers are in handlers.py, scripts and styles in assets/studio."""

from typing import Any

import gradio as gr

from geoexplain.explainer.combine import COMBINATIONS
from geoexplain.explainer.table import GRADIENT_CAM, kinds_of_family
from geoexplain.explainer.target import SCORES
from geoexplain.explainer.trace import LEVELS
from geoexplain.locator.memory import reuse_freed_memory
from geoexplain.locator.model import GeoModel
from geoexplain.resources import ASSETS
from geoexplain.studio import markup, panels
from geoexplain.studio.answer import QUIET, WORDS_EMPTY
from geoexplain.studio.guards import (
    BLOCKS,
    CONCURRENCY_ID,
    QUEUE,
    TILE_HOSTS,
    GuardedBlocks,
    GuardedImage,
    launch_settings,
)
from geoexplain.studio.handlers import Handlers, model_rows
from geoexplain.studio.models import Models
from geoexplain.studio.panels.panel import add_panel
from geoexplain.studio.payload import menu
from geoexplain.studio.scripts import ASSETS_URL, call_module, preload_links, start_module

ASK = call_module("asking.js", "ask")
ASK_ABOUT_IMAGE, SETTLE_IMAGE = call_module("asking.js", "askAboutImage"), call_module("asking.js", "settleImage")
ASK_ABOUT_MODEL, SETTLE_MODEL = call_module("asking.js", "askAboutModel"), call_module("asking.js", "settleModel")


def styles() -> tuple[str, ...]:
    """Return the stylesheets of assets/studio: those of the page, then one per panel."""
    return ("studio.css", "places.css", *(f"panels/{panel.name}.css" for panel in panels.PANELS))


def build(models: Models | GeoModel, *, tiles: bool = False, uploads: bool = True, warm_up: bool = False) -> gr.Blocks:
    """Return the studio for some models, or for one, queued and ready for `launch`.

    tiles    whether the map may load online tiles; without, no request leaves the machine
    uploads  whether people may upload images; without, only the examples can be chosen
    warm_up  whether to locate an example once the first page has been served, so that the first image is not slower
    """
    if isinstance(models, GeoModel):
        models = Models(models)
    gr.set_static_paths([ASSETS / name for name in ("leaflet", "studio", "world")])
    handlers = Handlers(models, assets_url=ASSETS_URL, tiles=tiles)
    network: dict[str, Any] = {"concurrency_id": CONCURRENCY_ID, "show_progress": "hidden", "api_visibility": "private"}
    aside: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    with GuardedBlocks(title="geoexplain", **BLOCKS) as demo:
        # Its value is the name of the model that this page has chosen; every request carries it.
        chosen = gr.HTML(
            models.start,
            rows=model_rows(models),
            apply_default_css=False,
            html_template=markup.header(),
            js_on_load=start_module("models.js", "switch"),
            elem_id="models",
        )
        # The image and the model that the results belong to: the page returns to them when a request is refused.
        shown = gr.JSON(visible=False)
        answering = gr.Textbox(models.start, visible=False)
        with gr.Row(elem_classes="ge-top"):
            with gr.Column(scale=4, min_width=320):
                image = GuardedImage(
                    label="Image",
                    sources=["upload", "clipboard", "webcam"] if uploads else [],
                    interactive=uploads,
                    height=300,
                    elem_id="image",
                    buttons=["fullscreen"],
                )
                gr.HTML(markup.consent(uploads), apply_default_css=False)
                gallery = gr.HTML(
                    html_template=markup.gallery(),
                    apply_default_css=False,
                    js_on_load=start_module("examples.js", "pick"),
                )
            with gr.Column(scale=7, min_width=320):
                world = gr.HTML(
                    None,
                    apply_default_css=False,
                    html_template=markup.map_frame(),
                    js_on_load=start_module("map.js", "pick"),
                    target=None,
                    place=None,
                    elem_id="map",
                )
                answer = gr.HTML(
                    {"words": WORDS_EMPTY},
                    status=QUIET,
                    apply_default_css=False,
                    html_template=markup.answer_frame(),
                    js_on_load=start_module("answer.js", "choose"),
                    elem_id="answer",
                )
        explanation = gr.HTML(
            None,
            menu=menu(),
            apply_default_css=False,
            html_template=markup.explanation_frame(),
            js_on_load=start_module("explanation.js", "scorecam", "stop", "tune", "stoptuning", "rescore"),
            score_cam=None,
            tuning=None,
            elem_id="explanation",
        )

        gr.HTML(markup.trust_heading(), apply_default_css=False)
        with gr.Tabs(elem_classes="ge-tabs"):
            for panel in panels.PANELS:
                with gr.Tab(panel.title, id=panel.name):
                    add_panel(panel, models, image, chosen)

        results = [world, answer, explanation]
        masked = explanation.scorecam(handlers.run_score_cam, [image, chosen], explanation, **network)
        masked.failure(None, js=call_module("asking.js", "endWork", "score-cam"))
        explanation.stop(None, cancels=[masked], api_visibility="private")
        tuned = explanation.tune(handlers.run_tuning, [image, chosen], explanation, **network)
        tuned.failure(None, js=call_module("asking.js", "endWork", "tuning"))
        explanation.stoptuning(None, cancels=[tuned], api_visibility="private")
        # Requests wait while another one runs; Gradio's "always_last" would lose which row was clicked. A request also
        # cancels Score-CAM, which runs for seconds and blocks the queue. The page does that itself: if several events
        # had `cancels`, each would cancel, and Gradio fails on the second.
        network["trigger_mode"] = aside["trigger_mode"] = "multiple"
        # Queued, but not behind the network: without a queue, two quick clicks may be answered in the wrong order.
        picked = gallery.pick(handlers.pick_example, None, image, **(network | {"concurrency_id": "gallery"}))
        # Not `image.change`: Gradio reports two changes for one upload.
        for new_image in (image.input, picked.success):
            located = new_image(
                handlers.show, [image, shown, chosen], [*results, shown, answering], js=ASK_ABOUT_IMAGE, **network
            )
            located.success(None, [shown, image], image, js=SETTLE_IMAGE)
            located.failure(None, [shown, image], image, js=SETTLE_IMAGE)
            located.failure(handlers.refused, None, answer, **aside)
        switched = chosen.switch(handlers.switch, [image, chosen], [*results, answering], js=ASK_ABOUT_MODEL, **network)
        switched.success(None, [answering, chosen], chosen, js=SETTLE_MODEL)
        switched.failure(None, [answering, chosen], chosen, js=SETTLE_MODEL)
        switched.failure(handlers.refused, None, answer, **aside)
        for choice in (answer.choose, world.pick, explanation.rescore):
            asked = choice(handlers.show_cell, [image, chosen], results, js=ASK, **network)
            asked.failure(handlers.refused, None, answer, **aside)
        # A model that is added while the server runs is offered to pages that are opened later.
        opened = demo.load(handlers.offered, None, chosen, **aside)
        if warm_up:
            opened.success(handlers.warm_up, None, None, **aside)
        _add_api(handlers, image)
    demo.queue(**QUEUE)
    return demo


def _add_api(handlers: Handlers, image: gr.Image) -> None:
    """Add the two endpoints for scripts; invisible components hold their arguments."""
    button = gr.Button(visible=False)
    model = gr.Textbox("", visible=False)
    scale_km, threshold = gr.Number(visible=False), gr.Number(visible=False)
    search = gr.Checkbox(True, visible=False)
    record = gr.JSON(visible=False)
    picture = gr.Image(visible=False, format="png")
    target = gr.Number(visible=False, precision=0)
    method = gr.Dropdown(list(kinds_of_family(GRADIENT_CAM)), value="grad-cam", visible=False)
    level = gr.Dropdown(list(LEVELS), value="block", visible=False)
    score = gr.Dropdown(list(SCORES), value="probability", visible=False)
    how = gr.Dropdown(list(COMBINATIONS), value="sum", visible=False)
    weights = gr.Textbox("", visible=False)
    button.click(
        handlers.api_locate,
        [image, model, scale_km, threshold, search],
        record,
        api_name="locate",
        concurrency_id=CONCURRENCY_ID,
    )
    button.click(
        handlers.api_combi_cam,
        [image, target, method, level, score, how, weights, model],
        picture,
        api_name="combi_cam",
        concurrency_id=CONCURRENCY_ID,
    )


def serve(
    demo: gr.Blocks,
    *,
    host: str | None = None,
    port: int | None = None,
    tiles: bool = False,
    uploads: bool = True,
    **options: Any,
) -> Any:
    """Launch a studio with its guards and styles. `options` are passed to Gradio's `launch`."""
    reuse_freed_memory()
    settings = launch_settings(tile_hosts=TILE_HOSTS if tiles else (), uploads=uploads)
    return demo.launch(
        server_name=host,
        server_port=port,
        theme=gr.themes.Soft(primary_hue="orange", neutral_hue="slate", font=["system-ui", "sans-serif"]),
        css="".join(map(markup.asset, styles())),
        head=preload_links(),
        footer_links=["api"],
        **settings,
        **options,
    )
