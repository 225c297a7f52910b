"""`geoexplain locate`: predict where images were taken."""

import argparse

from geoexplain.cli.arguments import add_images, add_model, chosen_model
from geoexplain.cli.batch import Answer, answer_each, describe_prediction
from geoexplain.cli.refine import add_crops, add_refinement, refinement
from geoexplain.explainer.explanation import locate
from geoexplain.view.export import prediction_record

EPILOG = """\
--json prints one JSON object per image and line:
  {"image", "model", "in_domain", "domain_score", "latitude", "longitude", "place", "cell", "label", "probability",
   "density": {"1", "25", "200", "750", "2500"}, "density_by_area": {the same}, "half_radius_km", "radius_90_km",
   "cell_width_km", "rule": {"scale_km", "threshold"}, "density_at_scale", "localizable",
   "search_within_cell": null, or
     {"cell", "searched", "top_k", "eps_km", "moved_km",
      "neighbours": [{"row", "latitude", "longitude", "similarity", "chosen"}, …]},
   "places": [{"tree", "path": [{"label", "kind", "share"}, …], "best_cell"}, …],
   "top": [{"cell", "label", "latitude", "longitude", "probability"}, …]}
or {"image", "error"}. "image" is the path as given; coordinates are in degrees. "in_domain" says whether the image is
of the kind that the model knows: if false, the other values mean nothing and "localizable" is false; null if the model
has no gate. "domain_score" is the gate's score from 0 to 1. "density" is the published prediction density: the
probability of all cells whose centre lies within the given number of km of the best cell's centre. "density_at_scale"
is the same within the rule's scale; the image is localizable when it exceeds the threshold. "density_by_area" is the
probability within the given number of km of the predicted point, with the probability of each cell spread over its
area; "half_radius_km" and "radius_90_km" are the radii of the circles that hold 50 % and 90 % of it. "cell_width_km" is
the width of the best cell; a smaller circle is no more precise than this width. "search_within_cell" is null without a
search: "searched" is the number of photos in the cell, "row" the index of a photo in the gallery, "chosen" marks the
cluster whose mean is the predicted point, and "moved_km" is the distance from the cell's centre to it. "places" adds up
the probabilities of the cells in each place: "path" is the most probable place of every level, coarse to fine, "share"
its probability, and "best_cell" the name of the place that contains the best cell. "place" is the finest place on the
first path that holds half of the probability, or null; "label" is the name of the best cell. "top" lists the five best
cells."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `geoexplain locate`."""
    parser.description = "Predict where images were taken: place, coordinates, probability, the five best cells."
    parser.epilog = EPILOG
    add_images(parser)
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object per image and line instead of text")
    add_crops(parser)
    add_refinement(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Locate every image; return 1 when one of them failed."""
    model = chosen_model(args)
    refined = refinement(args, model, args.model)
    search = refined.search

    def answer(image: str, _name: str) -> Answer:
        prediction = locate(image, model, rule=refined.rule, search=search, crops=args.crops, how=args.crop_rule)
        record = prediction_record(image, model, prediction, search=search)
        return Answer(record, describe_prediction(image, model, prediction, search=search))

    return answer_each(args.images, answer, as_json=args.json)
