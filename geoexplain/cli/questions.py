"""The commands that ask a question about the explanations of every image of a set."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from geoexplain.cli.image_set import add_image_set, names_text, open_with_workers, run_resumable
from geoexplain.evaluation.evaluate import evaluate, write_report
from geoexplain.evaluation.methods import tuned_weights_for
from geoexplain.evaluation.question import LEFT_OUT, Answer, Findings, ImageAnswer, Question
from geoexplain.evaluation.record import TABLE
from geoexplain.explainer.table import canonical_name
from geoexplain.words import printable_lines


@dataclass(frozen=True)
class QuestionCommand(Generic[Answer, Findings]):
    """A question as a command of `geoexplain evaluate`. `--methods` and all options of image sets are included.

    question     the class of the question
    summary      its line in `geoexplain evaluate --help`
    description  the text above its options
    epilog       returns the text below its options, on images, methods and files
    views        default number of views of --imagery
    methods      help of --methods
    lines        formats the question's findings as lines of text
    heading      returns the text that the first line adds to the title
    add_options  adds the question's own options to the parser
    settings     returns these options as keyword arguments of the question; raises DataError for invalid ones
    """

    question: type[Question[Answer, Findings]]
    summary: str
    description: str
    epilog: Callable[[], str]
    views: int
    methods: str
    lines: Callable[[Any, Findings], list[str]]
    heading: Callable[[Any], str] = lambda _question: ""
    add_options: Callable[[argparse.ArgumentParser], None] = lambda _parser: None
    settings: Callable[[argparse.Namespace], dict[str, Any]] = lambda _args: {}

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add all its options to a parser."""
        parser.description, parser.epilog = self.description, self.epilog()
        add_image_set(parser, self.views)
        parser.add_argument(
            "--methods",
            nargs="+",
            type=canonical_name,
            choices=self.question.known_methods(),
            default=list(self.question().methods),
            metavar="METHOD",
            help=self.methods,
        )
        self.add_options(parser)
        parser.set_defaults(run=self.run)

    def run(self, args: argparse.Namespace) -> int:
        """Evaluate, write and print the findings; return 1 when images are left out, 130 if interrupted."""
        settings = self.settings(args)  # report invalid options before the model is loaded
        with open_with_workers(args) as (model, source, workers):
            question = self.question(
                methods=tuple(name for name in self.question.known_methods() if name in args.methods),
                seed=args.seed,
                tuned=tuned_weights_for(model, args.methods),
                **settings,
            )
            answers = run_resumable(
                args.out,
                source.total,
                "images",
                lambda progress: evaluate(
                    question, model, source, args.out, workers=workers, resume=args.resume, progress=progress
                ),
            )
        title = f"{model.name} on {source.title}"
        findings = write_report(question, answers, title, args.out)
        lines = [title + self.heading(question), *self.lines(question, findings), *left_out_lines(answers)]
        print(printable_lines("\n".join(lines)))
        return 1 if any(answer.status in LEFT_OUT for answer in answers) else 0


def left_out_lines(answers: Sequence[ImageAnswer]) -> list[str]:
    """Return a line per reason for which images are left out of the means."""
    lines = []
    for status in LEFT_OUT:
        names = [answer.file or answer.id for answer in answers if answer.status == status]
        if names:
            again = f"; the reasons are in {TABLE}; --resume tries again" if status == "failed" else ""
            lines.append(f"  {status}: {len(names):,} ({names_text(names)}){again}")
    return lines
