"""The studio: what `make run` and Hugging Face Spaces start."""

import os

from geoexplain.locator.zoo import BUNDLED
from geoexplain.studio.app import build, serve
from geoexplain.studio.models import Models

TILES = os.environ.get("GEOEXPLAIN_TILES") == "1"
UPLOADS = os.environ.get("GEOEXPLAIN_UPLOADS", "1") == "1"

demo = build(Models(BUNDLED), tiles=TILES, uploads=UPLOADS)

if __name__ == "__main__":
    serve(demo, tiles=TILES, uploads=UPLOADS)
