"""Panels that compute something about the explained cell on demand; each is a tab below the explanation.

A panel is a module here that exports a `Panel`, with NAME.js and NAME.css in assets/studio/panels, and a row in PANELS.
Its script exports `start({ element, props, trigger, watch })`, called with the values that gr.HTML passes to scripts.
`createWork` of assets/studio/work.js sends requests, reads reports, shows progress and cancels; `createPanel` there
does all that most panels need.

`shown()` of assets/studio/shown.js returns what the page shows, or null for nothing:
- model: the name of the model
- target, place, label, percent: what is explained, either the cell target or, unless null, the place { tree, place }
- cell: the explained cell, or the most probable one of the place; best: the best cells; each { cell, label, percent }
- image (data URL), alt, size [H, W]
- asked(): what a request to the server holds; combi() and colormap(): the current settings

The event "geoexplain-shown" on `document` reports a change; a panel then clears what it showed. "geoexplain-picked"
reports a click on the world map; a panel that uses the place itself prevents the default, which explains that place.
"""

from geoexplain.studio.panels.agreement import AGREEMENT
from geoexplain.studio.panels.concepts import CONCEPTS
from geoexplain.studio.panels.contrast import CONTRAST
from geoexplain.studio.panels.faithfulness import FAITHFULNESS
from geoexplain.studio.panels.panel import Panel
from geoexplain.studio.panels.sanity import SANITY

PANELS: tuple[Panel, ...] = (FAITHFULNESS, SANITY, AGREEMENT, CONTRAST, CONCEPTS)
"""Every panel, in the order of the tabs. The layout, the styles and tests read this."""
