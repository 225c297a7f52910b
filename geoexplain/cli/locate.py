"""`geoexplain locate`: where images were taken."""

import argparse

from geoexplain.cli.arguments import add_images, add_model
from geoexplain.cli.batch import Answer, answer_each, describe_prediction
from geoexplain.explainer.explanation import locate
from geoexplain.locator.zoo import load_model
from geoexplain.view.export import prediction_record

EPILOG = """\
--json prints one JSON object per image and line:
  {"image", "model", "latitude", "longitude", "cell", "label", "probability",
   "density": {"1", "25", "200", "750", "2500"}, "localizable",
   "top": [{"cell", "label", "latitude", "longitude", "probability"}, …]}
or {"image", "error"}. "image" is the path as it was given, coordinates are degrees, "density" is the probability
within so many km of the cell, "top" holds the five best cells."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `geoexplain locate`."""
    parser.description = "Say where images were taken: place, coordinates, probability, the five best cells."
    parser.epilog = EPILOG
    add_images(parser)
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object per image and line instead of text")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Locate every image; 1 when one of them failed."""
    model = load_model(args.model, args.device)

    def answer(image: str, _name: str) -> Answer:
        prediction = locate(image, model)
        return Answer(prediction_record(image, model, prediction), describe_prediction(image, model, prediction))

    return answer_each(args.images, answer, as_json=args.json)
