"""`geoexplain studio`: everything in a browser."""

import argparse
import os
from contextlib import suppress
from pathlib import Path

from geoexplain.cli.arguments import add_model, count, number
from geoexplain.explainer.segformer import load_segformer
from geoexplain.studio.app import build, serve
from geoexplain.studio.models import KEPT, Models
from geoexplain.studio.panels.concepts import SEGFORMER_VARIABLE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `geoexplain studio`."""
    parser.description = "Serve the studio until Ctrl-C. Nothing leaves this machine unless you say so."
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at; 0.0.0.0 lets the whole network in (default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        type=number(int, 1, 65535, "a port from 1 to 65535"),
        default=7860,
        help="port to listen at (default: %(default)s)",
    )
    add_model(parser)
    parser.add_argument(
        "--keep-models",
        type=count,
        default=KEPT,
        metavar="N",
        help="how many models to hold in memory; the others are loaded when somebody chooses them "
        "(default: %(default)s)",
    )
    parser.add_argument("--no-uploads", action="store_true", help="offer the examples only; nobody can bring an image")
    parser.add_argument(
        "--online-tiles", action="store_true", help="draw the map with OpenStreetMap's tiles, asked for by the browser"
    )
    parser.add_argument(
        "--segformer",
        type=Path,
        metavar="DIR",
        help="offer the concepts that this SegFormer finds in photos; needs geoexplain[segformer] "
        f"(default: ${SEGFORMER_VARIABLE})",
    )
    parser.add_argument(
        "--naturalearth",
        type=Path,
        metavar="DIR",
        help="Natural Earth's files (physical, 1:50m or 1:10m): cells are then also in deserts, ranges and seas",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    if args.segformer:
        os.environ[SEGFORMER_VARIABLE] = str(args.segformer)
        load_segformer(args.segformer, device="cpu")  # says what is wrong with it before anybody asks
    models = Models(args.model, keep=args.keep_models, device=args.device, naturalearth=args.naturalearth)
    shown = {"tiles": args.online_tiles, "uploads": not args.no_uploads}
    demo = build(models, **shown, warm_up=True)
    with suppress(KeyboardInterrupt):  # the way to end it, also while it is still starting
        serve(demo, host=args.host, port=args.port, **shown)
    return 0
