"""`geoexplain evaluate`: one module for each kind of image that a model is measured on."""

import argparse

from geoexplain.cli import (
    evaluate_concepts,
    evaluate_explanations,
    evaluate_gate,
    evaluate_photos,
    evaluate_sanity,
    evaluate_views,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `geoexplain evaluate`."""
    parser.description = "Measure a model."
    kinds = parser.add_subparsers(metavar="KIND", required=True)
    evaluate_views.add_arguments(kinds.add_parser("views", help="on random views of whole-earth images"))
    evaluate_photos.add_arguments(kinds.add_parser("photos", help="on photos whose place is known"))
    gate = kinds.add_parser("gate", help="whether images that are not of its kind are turned away")
    evaluate_gate.add_arguments(gate)
    explanations = kinds.add_parser("explanations", help="how faithful the explanations are, beside baselines")
    evaluate_explanations.add_arguments(explanations)
    sanity = kinds.add_parser("sanity", help="whether the explanations depend on what the network has learnt")
    evaluate_sanity.add_arguments(sanity)
    concepts = kinds.add_parser("concepts", help="on what the explanations lie: coasts, ice, what else there is")
    evaluate_concepts.add_arguments(concepts)
