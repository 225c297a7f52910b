"""What can be computed about the explained cell on demand, a tab each below the explanation.

A panel is a module here that exports a `Panel`, with NAME.js and NAME.css in assets/studio/panels, and a row in PANELS.
Its script exports `start({ element, props, trigger, watch })`, called with what gr.HTML gives to scripts. `createWork`
of assets/studio/work.js asks, counts, cancels and hears reports; `createPanel` there is all that most panels need. What
the page is about is `shown()` of assets/studio/shown.js (null for nothing): model; what is explained with its label and
percent, a place { tree, place } or, where that is null, the cell target; cell, the explained one or the most probable
of the place, and best, the best ones, each with cell, label, percent; image (data URL), alt, size [H, W]; asked(), how
the server is asked about it; and, as they are set, combi() and colormap(). The event "geoexplain-shown" on `document`
says that it has changed, upon which a panel forgets what it showed. "geoexplain-picked" says where on the world map was
clicked; a panel that wants the place for itself prevents the default, which is to explain it.
"""

from geoexplain.studio.panels.agreement import AGREEMENT
from geoexplain.studio.panels.concepts import CONCEPTS
from geoexplain.studio.panels.contrast import CONTRAST
from geoexplain.studio.panels.faithfulness import FAITHFULNESS
from geoexplain.studio.panels.panel import Panel
from geoexplain.studio.panels.sanity import SANITY

PANELS: tuple[Panel, ...] = (FAITHFULNESS, SANITY, AGREEMENT, CONTRAST, CONCEPTS)
"""Every panel, in the order of the tabs. The layout, the styles and tests read this."""
