"""Build the HTML of the studio's components from the registries, and read the files of assets/studio."""

from functools import cache
from html import escape
from pathlib import Path

from geoexplain.explainer.table import GRADIENT_CAM, PERTURBATION_CAM, TUNED, explanation_kind, kinds_of_family
from geoexplain.images import open_image
from geoexplain.locator.prediction import RADII_KM
from geoexplain.resources import ASSETS
from geoexplain.studio.examples import examples
from geoexplain.studio.payload import data_url, menu
from geoexplain.words import exact_km, exact_percent

FOLDER = ASSETS / "studio"
FARTHEST_KM = 20_100
"""No two points on Earth are farther apart than this."""


HUNDREDTHS = "|".join(exact_percent(step / 100) for step in range(101))
"""The text next to a slider from 0 to 1 in steps of 0.01, one for each step."""


@cache
def asset(name: str) -> str:
    """Return the text of a file in assets/studio."""
    return (FOLDER / name).read_text(encoding="utf-8")


def header() -> str:
    """Return the title and the menu of models, which the browser fills in."""
    return (
        '<header class="ge-header ge-ui"><h1>geoexplain</h1>'
        "<p>Where does the network think this was taken, and what did it look at?</p>"
        '<p class="ge-model"><b class="ge-model-title"></b>'
        '<label hidden><span>Model</span> <select class="ge-model-choice"></select></label> '
        '<span class="ge-purpose"></span></p>'
        '<details class="ge-missing" hidden><summary></summary><dl></dl></details></header>'
    )


def consent(uploads: bool) -> str:
    """Return the note below the upload: what happens to an uploaded picture."""
    if not uploads:
        words = "Uploads are switched off on this server: choose an example."
        return f'<p class="ge-consent" data-uploads="off">{words}</p>'
    return (
        '<p class="ge-consent">Upload only pictures you may share. They are used for this answer and not kept; '
        "the answer is an estimate.</p>"
    )


def gallery() -> str:
    """Return the examples as buttons, which the script enables."""
    buttons = "".join(
        f'<button type="button" data-example="{index}" disabled title="{escape(f"{example.title}: {example.kind}")}">'
        f'<img src="{_thumbnail(example.file)}" alt="" width="96" height="96" loading="lazy">'
        f"<span>{escape(example.title)}</span></button>"
        for index, example in enumerate(examples())
    )
    credit = escape(examples()[0].credit)
    return (
        f'<section class="ge-gallery" aria-label="Examples"><h2>Examples: views from above</h2><div>{buttons}</div>'
        f'<p class="ge-credit">{credit}</p></section>'
    )


def map_frame() -> str:
    """Return the frame of the world map, and the text that stands there without one."""
    return (
        '<div class="ge-map"><iframe title="World map of the predicted cells" hidden></iframe>'
        '<p class="ge-map-empty">The world map appears here once there is an image to locate.</p></div>'
    )


def answer_frame() -> str:
    """Return the answer's frame: text, the rule for localizable, results of Search within Cell, the table of cells."""
    scales = "".join(
        f'<button type="button" data-scale="{radius_km}" data-words="{exact_km(radius_km)}" aria-pressed="false">'
        f"{radius_km:,}</button>"
        for radius_km in RADII_KM
    )
    return f"""
<section class="ge-answer ge-ui" data-state="empty">
  <div class="ge-gate" role="status" hidden><h2 class="ge-gate-words"></h2><p class="ge-gate-purpose"></p>
    <button type="button">Show the answer all the same, for study</button></div>
  <div class="ge-where-box"><h2 class="ge-place"></h2><div class="ge-trees"></div></div>
  <div class="ge-result">
    <details class="ge-rule">
      <summary class="ge-verdict-line"><span class="ge-verdict"></span> <span class="ge-more">Change</span>
        <span class="ge-why"></span></summary>
      <div class="ge-rule-body">
        <div class="ge-rule-head"><h3>Localizable when …</h3>
          <button type="button" class="ge-reset" title="Back to the model's own rule" hidden>Reset</button></div>
        <svg class="ge-curve" viewBox="0 0 400 150" role="img"></svg>
        <p class="ge-curve-key"><span><i></i>within a distance of the point, spread over the cells</span>
          <span><i data-counted="true"></i>by cell centres, around the best cell: what the rule counts</span></p>
        <div class="ge-scale" role="group" aria-label="Scale in km"><span>within</span>{scales}
          <label><input type="number" min="0" max="{FARTHEST_KM}" step="any" aria-label="Scale in km"> km</label></div>
        <label class="ge-threshold">more than <input type="range" min="0" max="1" step="0.01" data-words="{HUNDREDTHS}">
          <output></output></label>
      </div>
    </details>
    <ul class="ge-facts"></ul>
  </div>
  <div class="ge-density-box"><h3>Probability within …</h3><div class="ge-density"></div></div>
  <div class="ge-search" hidden>
    <div class="ge-search-head"><h3>Search within Cell</h3>
      <label class="ge-switch"><input type="checkbox" role="switch" aria-label="Search within Cell" checked>
        <span></span></label>
      <button type="button" class="ge-show">Show on map</button></div>
    <p class="ge-search-words"></p>
    <ol class="ge-neighbours"></ol>
    <p class="ge-search-key"><span><i data-chosen="true"></i>of the cluster that is the answer</span>
      <span><i></i>other</span><span>bar and number: similarity, at most 1</span></p>
  </div>
  <table><caption>Best cells. Choose one to explain it, or click on the map.</caption><thead><tr>
    <th scope="col">#</th><th scope="col">Cell</th><th scope="col">Centre</th><th scope="col">Probability</th>
  </tr></thead><tbody></tbody></table>
  <div class="ge-say"><p class="ge-words"></p>
    <p class="ge-status" role="status" aria-live="polite"></p></div>
</section>"""


def explanation_frame() -> str:
    """Return the explanation's frame: heatmap panels, display controls and Combi-CAM controls."""
    offered = menu()
    panels = [_panel("image", "Image", overlay=False), _panel("combi-cam", "Combi-CAM")]
    panels += [
        _panel(name, kind.title, passes=kind.passes)
        for name, kind in kinds_of_family(GRADIENT_CAM, PERTURBATION_CAM).items()
    ]
    presets = "".join(
        f'<button type="button" data-preset="{p["name"]}" aria-pressed="false">{escape(p["title"])}</button>'
        for p in offered["presets"]
    )
    presets += f'<button type="button" data-preset="{TUNED}" aria-pressed="false" hidden>'
    presets += f"{escape(explanation_kind(TUNED).title)}</button>"
    return f"""
<section class="ge-explanation ge-ui" data-state="empty" aria-label="Explanation">
  <h2>What the network looked at</h2>
  <p class="ge-state" role="status" aria-live="polite"></p>
  <div class="ge-body">
    <div class="ge-display">
      <label>Opacity <input type="range" data-choice="opacity" min="0" max="1" step="0.01" value="0.5"
        data-words="{HUNDREDTHS}">
        <output class="ge-opacity-value"></output></label>
      {_select("colormap", "Colours", [(c["name"], c["title"]) for c in offered["colormaps"]])}
      <div class="ge-legend"><span>low</span><canvas aria-hidden="true"></canvas>
        <span>high, within each map</span></div>
    </div>
    <div class="ge-panels">{"".join(panels)}</div>
    <fieldset class="ge-combi">
      <legend>Combi-CAM: what feeds it</legend>
      <div class="ge-presets" role="group" aria-label="Presets">{presets}</div>
      <div class="ge-work ge-tuning">
        <button type="button" class="ge-start ge-tune">Tune for this image</button>
        <div class="ge-running" hidden><progress></progress><span class="ge-count" role="status"></span>
          <button type="button" class="ge-cancel">Cancel</button></div>
        <p class="ge-tuned-words" role="status"></p>
      </div>
      <div class="ge-choices">
        {_select("method", "Maps of", [(m["name"], m["title"]) for m in offered["methods"]])}
        {_select("level", "Taken at every", [(name, name) for name in offered["levels"]])}
        {_select("how", "Combined by", [(c["name"], c["title"]) for c in offered["combinations"]])}
        {_select("score", "Explaining the", [(name, name) for name in offered["scores"]])}
      </div>
      <div class="ge-tiles"></div>
      <template><div class="ge-tile">
        <label class="ge-tile-head"><input type="checkbox"><span class="ge-tile-name"></span></label>
        <div class="ge-tile-map"><canvas aria-hidden="true"></canvas><span class="ge-tile-flat" hidden>flat</span></div>
        <span class="ge-tile-size"></span>
        <span class="ge-tile-weight"><input type="range" min="0" max="2" step="0.05"><output></output></span>
      </div></template>
    </fieldset>
  </div>
</section>"""


def trust_heading() -> str:
    """Return the heading above the tabs of panels."""
    return (
        '<header class="ge-trust-head ge-ui"><h2>Can it be trusted?</h2>'
        "<p>Heatmaps are easy to believe. Here they are put to the test, for the image and the cell or place above.</p>"
        "</header>"
    )


def _panel(name: str, title: str, *, overlay: bool = True, passes: str = "") -> str:
    picture = '<img alt="">'
    if overlay:
        picture += (
            '<canvas aria-hidden="true" hidden></canvas><span class="ge-flat" hidden>flat map: nothing to show</span>'
        )
    if passes:
        picture += (
            f'<button type="button" class="ge-start">Compute {escape(title)}</button>'
            '<div class="ge-running" hidden><progress></progress><span class="ge-count"></span>'
            '<button type="button" class="ge-cancel">Cancel</button></div>'
        )
    waiting = f' data-note="{escape(passes)}, on demand"' if passes else ""
    note = '<span class="ge-note"></span>' if overlay else '<span class="ge-note">as the network sees it</span>'
    return (
        f'<figure class="ge-panel" data-panel="{name}"{waiting}><div class="ge-picture">{picture}</div>'
        f"<figcaption><b>{escape(title)}</b> {note}</figcaption></figure>"
    )


def _select(name: str, label: str, options: list[tuple[str, str]]) -> str:
    items = "".join(f'<option value="{escape(value)}">{escape(title)}</option>' for value, title in options)
    return f'<label>{escape(label)} <select data-choice="{name}">{items}</select></label>'


@cache
def _thumbnail(file: Path) -> str:
    return data_url(open_image(file).resize((96, 96)))
