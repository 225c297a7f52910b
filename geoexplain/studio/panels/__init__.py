"""What can be computed about the explained cell on demand, a tab each below the explanation.

A panel is a module here that exports a `Panel`, with NAME.js and NAME.css in assets/studio/panels, and a row in PANELS.
Its script runs inside gr.HTML, after assets/studio/work.js: `geoexplainWork` asks, counts, cancels and hears reports.
What the page is about is `window.geoexplainShown` (null for nothing): model, target, label, percent, image (data URL),
alt, size [H, W], and combi(), Combi-CAM as it is set; the event "geoexplain-shown" on `document` says that it has
changed, upon which a panel forgets what it showed.
"""

from geoexplain.studio.panels.faithfulness import FAITHFULNESS
from geoexplain.studio.panels.panel import Panel

PANELS: tuple[Panel, ...] = (FAITHFULNESS,)
"""Every panel, in the order of the tabs. The layout, the styles and tests read this."""
