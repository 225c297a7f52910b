"""`geoexplain studio`: serve the studio, which does everything in a browser."""

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
    """Add the options of `geoexplain studio`."""
    parser.description = "Serve the studio until Ctrl-C. No data leaves this machine unless you allow it."
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0 accepts the whole network (default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        type=number(int, 1, 65535, "a port from 1 to 65535"),
        default=7860,
        help="port to listen on (default: %(default)s)",
    )
    add_model(parser)
    parser.add_argument(
        "--keep-models",
        type=count,
        default=KEPT,
        metavar="N",
        help="number of models to keep in memory; others are loaded when a user selects them (default: %(default)s)",
    )
    parser.add_argument("--no-uploads", action="store_true", help="offer the examples only, without uploads")
    parser.add_argument(
        "--online-tiles", action="store_true", help="draw the map with OpenStreetMap tiles, which the browser requests"
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
        help="Natural Earth files (physical, 1:50m or 1:10m): adds the deserts, ranges and seas that cells lie in",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C; return 0."""
    if args.segformer:
        os.environ[SEGFORMER_VARIABLE] = str(args.segformer)
        load_segformer(args.segformer, device="cpu")  # report an invalid one before it is needed
    models = Models(args.model, keep=args.keep_models, device=args.device, naturalearth=args.naturalearth)
    shown = {"tiles": args.online_tiles, "uploads": not args.no_uploads}
    demo = build(models, **shown, warm_up=True)
    with suppress(KeyboardInterrupt):  # Ctrl-C is the normal end, also during the start
        serve(demo, host=args.host, port=args.port, **shown)
    return 0
