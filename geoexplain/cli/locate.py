"""`geoexplain locate`: where images were taken."""

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
or {"image", "error"}. "image" is the path as it was given, coordinates are degrees. "in_domain"
says whether the image is of the kind that the model is for: where it is false the rest means nothing, and "localizable"
is false; null where the model cannot tell; "domain_score" is how sure it is, from 0 to 1. "density" is the published
prediction density: the probability of all cells with a centre within so many km of the best cell's centre,
"density_at_scale" the one within the rule's scale, which makes the image localizable when it exceeds the threshold.
"density_by_area" is the probability within so many km of the predicted point, every cell's spread over its area;
"half_radius_km" and "radius_90_km" are the radii within which half and 90 % of it lie. "cell_width_km" is how wide the
best cell is: a circle that is narrower says no more than that width. "search_within_cell" is null where nothing
was searched: "searched" counts the photos of the cell, "row" is one's place in the gallery, "chosen" marks the cluster
whose mean is the answer, "moved_km" is the way from the cell's centre to it. "places" sums the probability up the
places that the cells lie in: "path" is the most probable of every level, coarse to fine, "share" its probability, and
"best_cell" where the best cell lies in words. "place" is the finest place on the first path that holds half of the
probability, or null, "label" the name of the best cell, which lies where "best_cell" says. "top" holds the five best
cells."""


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
