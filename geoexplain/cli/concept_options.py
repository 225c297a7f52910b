"""Options that `concepts` and `evaluate concepts` share: SegFormer, and how concept influence is counted."""

import argparse

from geoexplain.cli.arguments import count, number
from geoexplain.explainer.concepts import LARGEST_DILATION_PX, SMALLEST_SHARE, TOP_K

Group = argparse._ArgumentGroup  # it has no public name


def add_segformer(where: Group) -> None:
    """Add the options for the SegFormer model that finds concepts in photos."""
    where.add_argument(
        "--segformer", metavar="DIR|NAME", help="folder of a SegFormer, or its name on the Hugging Face Hub"
    )
    where.add_argument(
        "--allow-download", action="store_true", help="download --segformer NAME if it is not in the local cache"
    )


def add_counting(how: Group) -> None:
    """Add the number of strongest pixels, the dilation of the masks, and the smallest concept that counts."""
    how.add_argument("--k", type=count, default=TOP_K, help="number of strongest pixels (default: %(default)s)")
    how.add_argument(
        "--dilate",
        type=number(int, 0, LARGEST_DILATION_PX, f"a whole number from 0 to {LARGEST_DILATION_PX}"),
        default=0,
        metavar="PX",
        help="grow every mask by this number of pixels first (default: %(default)s)",
    )
    how.add_argument(
        "--smallest-share",
        type=number(float, 0, 1, "a share from 0 to 1"),
        default=SMALLEST_SHARE,
        metavar="SHARE",
        help="ignore concepts that cover less than this share of an image (default: %(default)s)",
    )
