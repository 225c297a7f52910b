"""Start the studio. `make run` and Hugging Face Spaces run this file."""

import os
from pathlib import Path

from geoexplain.locator.zoo import BUNDLED
from geoexplain.studio.app import build, serve
from geoexplain.studio.models import Models

TILES = os.environ.get("GEOEXPLAIN_TILES") == "1"
UPLOADS = os.environ.get("GEOEXPLAIN_UPLOADS", "1") == "1"

NATURALEARTH = os.environ.get("GEOEXPLAIN_NATURALEARTH")

models = Models(BUNDLED, naturalearth=Path(NATURALEARTH) if NATURALEARTH else None)
demo = build(models, tiles=TILES, uploads=UPLOADS, warm_up=True)

if __name__ == "__main__":
    serve(demo, tiles=TILES, uploads=UPLOADS)
