"""`geoexplain evaluate`: measure a model. Each kind of measurement is a module of its own."""

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
    "gate": ("whether the gate rejects images that are not of the model's kind", evaluate_gate.add_arguments),
}
"""Measurements of a model's answers: name → line of help, and the function that adds the options."""

QUESTIONS: dict[str, QuestionCommand] = {
    "explanations": evaluate_explanations.COMMAND,
    "sanity": evaluate_sanity.COMMAND,
    "concepts": evaluate_concepts.COMMAND,
}
"""Questions about a model's explanations, asked of every image. A new question needs only a row here."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the kinds of measurement of `geoexplain evaluate`, each with its options."""
    parser.description = "Measure a model."
    kinds = parser.add_subparsers(metavar="KIND", required=True)
    commands = ANSWERS | {name: (command.summary, command.add_arguments) for name, command in QUESTIONS.items()}
    for name, (summary, add_options) in commands.items():
        add_options(kinds.add_parser(name, help=summary))
