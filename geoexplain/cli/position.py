"""The option --position: where a view from above lies, and how wide it is."""

import argparse
from dataclasses import dataclass

from PIL import Image

from geoexplain.errors import DataError
from geoexplain.geography.footprint import Footprint
from geoexplain.images import Preprocess

PREDICTED = "predicted"


@dataclass(frozen=True)
class Position:
    """The value of --position: the view's centre in degrees (None: the predicted point), its width and rotation."""

    center_deg: tuple[float, float] | None
    width_km: float
    rotation_deg: float

    def of_view(self, predicted_deg: tuple[float, float], picture: Image.Image, preprocess: Preprocess) -> Footprint:
        """Return the footprint of the part that the network sees; a long picture is cropped, so that it is narrower."""
        share = preprocess.visible(picture).width / picture.width
        return Footprint(*(self.center_deg or predicted_deg), self.width_km * share, self.rotation_deg)


def parse_position(text: str) -> Position:
    """Parse `42.3,12.9,1150` or `predicted,1150`, both with an optional rotation at the end.

    Raises ArgumentTypeError for anything else.
    """
    head, _, rest = text.partition(",")
    try:
        numbers = [float(part) for part in (rest if head.strip() == PREDICTED else text).split(",")]
        if head.strip() == PREDICTED:
            numbers = [0.0, 0.0, *numbers]
        Footprint(*numbers)  # raises for values out of range
        lat, lon, width_km, rotation_deg = (*numbers, 0.0)[:4]
    except (ValueError, TypeError):
        raise argparse.ArgumentTypeError(
            f"expected LAT,LON,WIDTH_KM such as 42.3,12.9,1150, or predicted,WIDTH_KM, got {text!r}"
        ) from None
    except DataError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("footprint: ")) from None
    return Position(None if head.strip() == PREDICTED else (lat, lon), width_km, rotation_deg)
