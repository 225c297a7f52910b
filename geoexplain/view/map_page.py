"""Build a page with a Leaflet map: folium, vendored Leaflet, our own base map and drawing code.

The page holds its data as JSON without any HTML character, and `assets/world/*.js` draws them: untrusted names reach
the page as text only.
"""

import base64
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import folium
import numpy as np
from branca.element import Element, Figure
from folium.template import Template
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.resources import ASSETS
from geoexplain.view.modules import bundle, module_order
from geoexplain.view.overlay import colormap_lut


class _Verbatim(Element):
    """Text between two tags, written into the page unchanged."""

    _template = Template("{{ this.opening }}{{ this.text }}{{ this.closing }}")

    def __init__(self, opening: str, text: str, closing: str) -> None:
        super().__init__()
        self.opening = opening
        self.text = text
        self.closing = closing


def fill_page(
    chart: folium.Map,
    entry: str,
    data: dict[str, Any],
    styles: Sequence[str],
    *,
    title: str,
    base_map: bool = True,
    leaflet_url: str | None = None,
    world_url: str | None = None,
) -> None:
    """Add data, scripts and styles to the page of a map, so that `entry` draws `data` on it.

    entry        module of `assets/world` that reads the data and draws them; its imports are added too
    styles       style sheets of `assets/world`
    base_map     whether the script draws our own base map; adds basemap.js, which is not a module
    leaflet_url  URL of the folder `assets/leaflet`, without a final slash; None writes Leaflet into the page
    world_url    URL of the folder `assets/world`, likewise. Browsers load modules from servers only, not from file://

    Raises DataError when a file of `assets` cannot be read.
    """
    figure = chart.get_root()
    assert isinstance(figure, Figure)  # folium puts every map into one
    chart.default_js, chart.default_css = [], []
    world = [*styles, *(["basemap.js"] if base_map else [])]
    for folder, url, names in [("leaflet", leaflet_url, ["leaflet.css", "leaflet.js"]), ("world", world_url, world)]:
        for name in names:
            if url is None:
                tag = "style" if name.endswith(".css") else "script"
                text = _file_text(ASSETS / folder / name)
                figure.header.add_child(_Verbatim(f"<{tag}>", text, f"</{tag}>"), name=name)
            elif name.endswith(".css"):
                chart.default_css.append((name, f"{url}/{name}"))
            else:
                chart.default_js.append((name, f"{url}/{name}"))
    opening = '<script type="application/json" id="geoexplain-data">'
    figure.html.add_child(_Verbatim(opening, _script_safe_json(data | {"map": chart.get_name()}), "</script>"))
    # Modules run after the page has been parsed, thus after folium's script has made the map.
    if world_url is None:
        figure.html.add_child(_Verbatim('<script type="module">\n', bundle(ASSETS / "world" / entry), "</script>"))
    else:
        for path in module_order(ASSETS / "world" / entry):
            figure.header.add_child(_Verbatim(f'<link rel="modulepreload" href="{world_url}/{path.name}">', "", ""))
        figure.html.add_child(_Verbatim(f'<script type="module" src="{world_url}/{entry}">', "", "</script>"))
    figure.title = title


def hex_colors(indices: NDArray[np.float64]) -> list[str]:
    """Return colours of the colormap "inferno" at indices from 0 to 255, as "#rrggbb"."""
    return ["#" + bytes(color).hex() for color in colormap_lut("inferno")[np.rint(indices).astype(int)]]


def _file_text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"map: expected the file assets/{path.parent.name}/{path.name}, but it cannot be read; "
            "restore it from the repository."
        ) from error
    if path.suffix == ".css":  # an inlined sheet has no folder next to it
        return re.sub(r"url\((images/[\w.-]+)\)", lambda match: _data_url(path.parent / match[1]), text)
    return text


def _data_url(path: Path) -> str:
    return f"url(data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')})"


def _script_safe_json(data: dict[str, Any]) -> str:
    text = json.dumps(data, separators=(",", ":"))  # ASCII: also U+2028 is escaped
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
