"""The studio: layout and wiring. What happens is in handlers.py, what it looks like in assets/studio."""

from pathlib import Path
from typing import Any

import gradio as gr

from geoexplain.explainer.cams import METHODS
from geoexplain.explainer.combine import COMBINATIONS
from geoexplain.explainer.trace import LEVELS, SCORES
from geoexplain.locator.model import GeoModel
from geoexplain.studio import markup
from geoexplain.studio.guards import (
    BLOCKS,
    CONCURRENCY_ID,
    QUEUE,
    TILE_HOSTS,
    GuardedBlocks,
    GuardedImage,
    launch_settings,
)
from geoexplain.studio.handlers import STATIC_URL, Handlers
from geoexplain.studio.payload import QUIET, WORDS_EMPTY, menu

ASSETS = Path(__file__).parents[2] / "assets"

UNCHANGED = "value => value"
ASK = "image => { document.dispatchEvent(new Event('geoexplain-asks')); return image; }"
ASK_WITH_RECORD = "image => { document.dispatchEvent(new Event('geoexplain-asks')); return [image, image]; }"
TELL_SCORE_CAM_ENDED = "() => { document.dispatchEvent(new Event('geoexplain-score-cam-ended')); }"


def build(model: GeoModel, *, tiles: bool = False, uploads: bool = True) -> gr.Blocks:
    """The studio for one model, queued and ready for `launch`.

    tiles    the map may load online tiles; off, no request leaves the machine
    uploads  people may bring images; off, only the examples can be chosen
    """
    gr.set_static_paths([ASSETS / "leaflet", ASSETS / "world"])
    handlers = Handlers(model, assets_url=f"{STATIC_URL}{ASSETS.as_posix()}", tiles=tiles)
    network: dict[str, Any] = {"concurrency_id": CONCURRENCY_ID, "show_progress": "hidden", "api_visibility": "private"}
    aside: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    with GuardedBlocks(title="geoexplain", **BLOCKS) as demo:
        gr.HTML(markup.header(model), apply_default_css=False)
        # The record of the image that the results belong to, which the image component goes back to when another one
        # is refused.
        shown = gr.JSON(visible=False)
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
                    html_template=markup.gallery(), apply_default_css=False, js_on_load=markup.asset("examples.js")
                )
            with gr.Column(scale=7, min_width=320):
                world = gr.HTML(
                    None,
                    apply_default_css=False,
                    html_template=markup.map_frame(),
                    js_on_load=markup.asset("map.js"),
                    target=None,
                    elem_id="map",
                )
                answer = gr.HTML(
                    {"words": WORDS_EMPTY},
                    status=QUIET,
                    apply_default_css=False,
                    html_template=markup.answer_frame(),
                    js_on_load=markup.asset("answer.js"),
                    elem_id="answer",
                )
        explanation = gr.HTML(
            None,
            menu=menu(),
            apply_default_css=False,
            html_template=markup.explanation_frame(),
            js_on_load=markup.asset("blend.js") + markup.asset("explanation.js"),
            score_cam=None,
            elem_id="explanation",
        )

        results = [world, answer, explanation]
        masked = explanation.scorecam(handlers.run_score_cam, image, explanation, **network)
        masked.failure(None, js=TELL_SCORE_CAM_ENDED)
        explanation.stop(None, cancels=[masked], api_visibility="private")
        # What is asked while an answer is on its way waits its turn; Gradio's "always_last" would forget which row was
        # clicked. Asking also calls Score-CAM off, which runs for seconds and holds the only place in the queue. The
        # page sees to that: events with `cancels` each cancel for themselves, and Gradio fails on the second.
        network["trigger_mode"] = aside["trigger_mode"] = "multiple"
        # Queued, but not behind the network: without a queue, two quick clicks may be answered in the wrong order.
        picked = gallery.pick(handlers.pick_example, None, image, **(network | {"concurrency_id": "gallery"}))
        # Not `image.change`: Gradio reports two changes for one upload.
        for given in (image.input, picked.success):
            located = given(handlers.show, [image, shown], [*results, shown], js=ASK_WITH_RECORD, **network)
            located.success(None, shown, image, js=UNCHANGED)
            located.failure(None, shown, image, js=UNCHANGED)
            located.failure(handlers.refused, None, answer, **aside)
        for choice in (answer.choose, world.pick, explanation.rescore):
            asked = choice(handlers.show_cell, image, results, js=ASK, **network)
            asked.failure(handlers.refused, None, answer, **aside)
        _add_api(handlers, image)
    demo.queue(**QUEUE)
    return demo


def _add_api(handlers: Handlers, image: gr.Image) -> None:
    """The two endpoints for scripts; components that nobody sees carry their arguments."""
    button = gr.Button(visible=False)
    record = gr.JSON(visible=False)
    picture = gr.Image(visible=False, format="png")
    target = gr.Number(visible=False, precision=0)
    method = gr.Dropdown([name for name, row in METHODS.items() if row.gradient], value="grad-cam", visible=False)
    level = gr.Dropdown(list(LEVELS), value="block", visible=False)
    score = gr.Dropdown(list(SCORES), value="probability", visible=False)
    how = gr.Dropdown(list(COMBINATIONS), value="sum", visible=False)
    weights = gr.Textbox("", visible=False)
    button.click(handlers.api_locate, image, record, api_name="locate", concurrency_id=CONCURRENCY_ID)
    button.click(
        handlers.api_combi_cam,
        [image, target, method, level, score, how, weights],
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
    """Launch a studio with its guards and its look. `options` go to Gradio's `launch`."""
    settings = launch_settings(tile_hosts=TILE_HOSTS if tiles else (), uploads=uploads)
    return demo.launch(
        server_name=host,
        server_port=port,
        theme=gr.themes.Soft(primary_hue="orange", neutral_hue="slate", font=["system-ui", "sans-serif"]),
        css=markup.asset("studio.css"),
        footer_links=["api"],
        **settings,
        **options,
    )
