"""Options that `concepts` and `evaluate concepts` share: what SegFormer is, and how concepts are counted."""

import argparse

from geoexplain.cli.arguments import count, number
from geoexplain.explainer.concepts import LARGEST_DILATION_PX, SMALLEST_SHARE, TOP_K

Group = argparse._ArgumentGroup  # it has no public name


def add_segformer(where: Group) -> None:
    """The model that finds concepts in photos."""
    where.add_argument(
        "--segformer", metavar="DIR|NAME", help="a SegFormer's folder, or its name on Hugging Face's hub"
    )
    where.add_argument(
        "--allow-download", action="store_true", help="let --segformer NAME be downloaded if it has not been yet"
    )


def add_counting(how: Group) -> None:
    """How many pixels count, which masks grow, and which concepts are too small."""
    how.add_argument("--k", type=count, default=TOP_K, help="how many of the strongest pixels (default: %(default)s)")
    how.add_argument(
        "--dilate",
        type=number(int, 0, LARGEST_DILATION_PX, f"a whole number from 0 to {LARGEST_DILATION_PX}"),
        default=0,
        metavar="PX",
        help="grow every mask by as many pixels first (default: %(default)s)",
    )
    how.add_argument(
        "--smallest-share",
        type=number(float, 0, 1, "a share from 0 to 1"),
        default=SMALLEST_SHARE,
        metavar="SHARE",
        help="ignore concepts that cover less of an image (default: %(default)s)",
    )
