"""`geoexplain evaluate`: what can be measured of a model, one module each."""

import argparse

from geoexplain.cli import (
    evaluate_concepts,
    evaluate_explanations,
    evaluate_gate,
    evaluate_photos,
    evaluate_sanity,
    evaluate_views,
)
from geoexplain.cli.questions import QuestionCommand

ANSWERS = {
    "views": ("on random views of whole-earth images", evaluate_views.add_arguments),
    "photos": ("on photos whose place is known", evaluate_photos.add_arguments),
    "gate": ("whether images that are not of its kind are turned away", evaluate_gate.add_arguments),
}
"""What is measured of a model's answers, with its line of help and its options."""

QUESTIONS: dict[str, QuestionCommand] = {
    "explanations": evaluate_explanations.COMMAND,
    "sanity": evaluate_sanity.COMMAND,
    "concepts": evaluate_concepts.COMMAND,
}
"""What is measured of its explanations, image by image: a row is all that a new question needs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `geoexplain evaluate`."""
    parser.description = "Measure a model."
    kinds = parser.add_subparsers(metavar="KIND", required=True)
    commands = ANSWERS | {name: (command.summary, command.add_arguments) for name, command in QUESTIONS.items()}
    for name, (summary, add_options) in commands.items():
        add_options(kinds.add_parser(name, help=summary))
