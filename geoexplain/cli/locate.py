"""`geoexplain locate`: where images were taken."""

import argparse

from geoexplain.cli.arguments import add_images, add_model, chosen_model
from geoexplain.cli.batch import Answer, answer_each, describe_prediction
from geoexplain.cli.refine import add_crops, add_refinement, refinement
from geoexplain.explainer.explanation import locate
from geoexplain.view.export import prediction_record

EPILOG = """\
--json prints one JSON object per image and line:
  {"image", "model", "latitude", "longitude", "place", "cell", "label", "probability",
   "density": {"1", "25", "200", "750", "2500"}, "rule": {"scale_km", "threshold"}, "density_at_scale", "localizable",
   "search_within_cell": null, or
     {"cell", "searched", "top_k", "eps_km", "moved_km",
      "neighbours": [{"row", "latitude", "longitude", "similarity", "chosen"}, …]},
   "places": [{"tree", "path": [{"label", "kind", "share"}, …], "best_cell"}, …],
   "top": [{"cell", "label", "latitude", "longitude", "probability"}, …]}
or {"image", "error"}. "image" is the path as it was given, coordinates are degrees, "density" is the probability
within so many km of the cell, "density_at_scale" the one within the rule's scale, which makes the image localizable
when it exceeds the threshold. "search_within_cell" is null where nothing was searched: "searched" counts the photos
of the cell, "row" is one's place in the gallery, "chosen" marks the cluster whose mean is the answer, "moved_km" is
the way from the cell's centre to it. "places" sums the probability up the places that the cells lie in: "path" is the
most probable of every level, coarse to fine, "share" its probability, and "best_cell" where the best cell lies in
words. "place" is the finest place on the first path that holds half of the probability, or null, "label" the name of
the best cell, which lies where "best_cell" says. "top" holds the five best cells."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `geoexplain locate`."""
    parser.description = "Say where images were taken: place, coordinates, probability, the five best cells."
    parser.epilog = EPILOG
    add_images(parser)
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object per image and line instead of text")
    add_crops(parser)
    add_refinement(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Locate every image; 1 when one of them failed."""
    model = chosen_model(args)
    refined = refinement(args, model, args.model)
    search = refined.search

    def answer(image: str, _name: str) -> Answer:
        prediction = locate(image, model, rule=refined.rule, search=search, crops=args.crops, how=args.crop_rule)
        record = prediction_record(image, model, prediction, search=search)
        return Answer(record, describe_prediction(image, model, prediction, search=search))

    return answer_each(args.images, answer, as_json=args.json)
