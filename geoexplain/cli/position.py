"""Where a view from above lies, as --position says it."""

import argparse
from dataclasses import dataclass

from PIL import Image

from geoexplain.errors import DataError
from geoexplain.geography.footprint import Footprint
from geoexplain.images import Preprocess

PREDICTED = "predicted"


@dataclass(frozen=True)
class Position:
    """What --position says: the centre in degrees (None: where the model places the image), and the view's extent."""

    center_deg: tuple[float, float] | None
    width_km: float
    rotation_deg: float

    def of_view(self, predicted_deg: tuple[float, float], picture: Image.Image, preprocess: Preprocess) -> Footprint:
        """The footprint of what the network sees, whose width is less where a long picture is cropped."""
        share = preprocess.visible(picture).width / picture.width
        return Footprint(*(self.center_deg or predicted_deg), self.width_km * share, self.rotation_deg)


def parse_position(text: str) -> Position:
    """`42.3,12.9,1150`, with a rotation behind it or not, or `predicted,1150`; ArgumentTypeError for anything else."""
    head, _, rest = text.partition(",")
    try:
        numbers = [float(part) for part in (rest if head.strip() == PREDICTED else text).split(",")]
        if head.strip() == PREDICTED:
            numbers = [0.0, 0.0, *numbers]
        Footprint(*numbers)  # says what is out of range
        lat, lon, width_km, rotation_deg = (*numbers, 0.0)[:4]
    except (ValueError, TypeError):
        raise argparse.ArgumentTypeError(
            f"expected LAT,LON,WIDTH_KM such as 42.3,12.9,1150, or predicted,WIDTH_KM, got {text!r}"
        ) from None
    except DataError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("footprint: ")) from None
    return Position(None if head.strip() == PREDICTED else (lat, lon), width_km, rotation_deg)
