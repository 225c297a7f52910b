"""`geoexplain gallery`: build and inspect the photos that Search within Cell looks through."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from geoexplain.cli.arguments import add_model, chosen_model, complain, count
from geoexplain.cli.batch import progress_bar
from geoexplain.errors import DataError
from geoexplain.files import Assignments, read_assignments
from geoexplain.locator.gallery import gallery_by_cell, is_hdf5, open_folder
from geoexplain.locator.gallery_build import Progress, build_gallery, check_new, convert_gallery
from geoexplain.locator.gallery_hdf5 import open_hdf5
from geoexplain.locator.registry import assignments_of, unused_assignments
from geoexplain.locator.zoo import load_model
from geoexplain.photos import Manifest, geotagged_photos, read_manifest
from geoexplain.words import coordinates, printable

EXIT_FAILED = 1
NEAREST = "nearest"
NAMED = 10
"""Number of left-out photos that are listed by name."""

BUILD_EPILOG = """\
SOURCE is one of:
  a folder        photos in it and its subfolders whose EXIF data give their position
  FILE.csv        a table with columns such as image, latitude, longitude; the photos are in --images
  FILE.pkl        a published metadata file, such as metadata_im2gps3k.pkl; the photos are in --images
  FILE.hdf5, .h5  embeddings computed by --model (datasets features and labels), which are copied unchanged

Photos that cannot be read are listed and left out; the exit code is then 1. The gallery holds embeddings and
coordinates, but no photos and no file names. Ctrl-C leaves nothing behind."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `geoexplain gallery`."""
    parser.description = "Build or inspect a gallery, the photos that Search within Cell looks through."
    kinds = parser.add_subparsers(metavar="KIND", required=True)
    build = kinds.add_parser("build", help="build one from photos with positions, or from an HDF5 file")
    build.description = "Embed photos whose positions are known with a model, and write the gallery."
    build.epilog = BUILD_EPILOG
    build.add_argument("--from", dest="source", type=Path, required=True, metavar="SOURCE", help="see below")
    build.add_argument("--images", type=Path, metavar="DIR", help="photos of a table (default: the table's folder)")
    build.add_argument(
        "--assignments",
        metavar=f"FILE|{NEAREST}",
        help="which rows of an HDF5 file lie in which cell: cells_assignments.pkl or an .npz converted from it; "
        f"{NEAREST}: each row in the cell with the nearest centre (default: the assignments added with the model if "
        f"they have as many rows, otherwise {NEAREST})",
    )
    add_model(build)
    build.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the gallery, which is created")
    build.add_argument("--batch", type=count, default=16, help="photos per network pass (default: %(default)s)")
    build.set_defaults(run=run_build)
    show = kinds.add_parser("show", help="print the contents of a gallery")
    show.description = "Print how many photos a gallery holds, for which model, and in how many cells."
    show.add_argument("gallery", type=Path, metavar="DIR|FILE.hdf5", help="the gallery")
    show.add_argument("--model", metavar="NAME|PATH", help="for an HDF5 file, also count photos by cells of this model")
    show.set_defaults(run=run_show)


def run_build(args: argparse.Namespace) -> int:
    """Build a gallery; return 1 when photos were left out."""
    from_hdf5 = is_hdf5(args.source)
    if args.images is not None and (from_hdf5 or args.source.is_dir()):
        raise DataError(f"--images: expected a table of photos as --from, got {args.source}: leave --images out.")
    if args.assignments is not None and not from_hdf5:
        raise DataError(f"--assignments: expected an HDF5 file as --from, got {args.source}: leave it out.")
    check_new(args.out)  # before hours of work
    return convert(args) if from_hdf5 else build(args)


def build(args: argparse.Namespace) -> int:
    """Embed photos; return 1 when some of them could not be read."""
    manifest = find_photos(args.source, args.images)
    model = chosen_model(args)
    with progress_bar(len(manifest.photos), "photos") as bar:
        built = build_gallery(model, manifest.photos, args.out, batch=args.batch, progress=follow(bar))
    for photo, problem in built.skipped:
        complain(f"{photo.file}: {problem.removeprefix(f'{photo.file.name}: ')}")
    print(f"{args.out}: {built.rows:,} of {len(manifest.photos):,} photos, embedded by {model.name}")
    return EXIT_FAILED if built.skipped else 0


def find_photos(source: Path, images: Path | None) -> Manifest:
    """Return the photos that `--from` names, and report those left out. Raises DataError when there are none."""
    if source.is_dir():
        manifest = geotagged_photos(source)
        report_left_out(manifest.missing, "that does not give its position", "that do not give their position")
    else:
        manifest = read_manifest(source, source.parent if images is None else images)
        report_left_out(manifest.missing, "whose file does not exist", "whose files do not exist")
    if not manifest.photos:
        raise DataError(f"{source}: expected photos with known positions, found none: check the path.")
    return manifest


def report_left_out(names: Sequence[str], of_one: str, of_several: str) -> None:
    """Report how many photos are left out and why, and list the first of them."""
    if names:
        kind = f"photo {of_one}" if len(names) == 1 else f"photos {of_several}"
        more = ", …" if len(names) > NAMED else ""
        complain(f"left out {len(names):,} {kind}: {', '.join(names[:NAMED])}{more}")


def convert(args: argparse.Namespace) -> int:
    """Convert the embeddings of an HDF5 file into a gallery; return 0."""
    model = load_model(args.model, "cpu")
    table = open_hdf5(args.source)
    gallery = gallery_by_cell(table, model.partition, find_assignments(args.assignments, args.model, args.source))
    with progress_bar(len(gallery), "photos") as bar:
        rows = convert_gallery(gallery, model.name, model.partition, args.out, progress=follow(bar))
    print(f"{args.out}: {rows:,} of {len(gallery):,} photos, embedded by {model.name}")
    return 0


def find_assignments(given: str | None, model: str, file: Path) -> Assignments | None:
    """Return which rows lie in which cell: as given, or as added with the model if the number of rows agrees.

    None stands for the cell with the nearest centre.
    """
    if given == NEAREST:
        return None
    if given is not None:
        return read_assignments(Path(given))
    if note := unused_assignments(model, file):
        complain(note)
        return None
    return assignments_of(model)


def follow(bar: tqdm) -> Progress:
    """Return a progress callback that moves a bar."""

    def advance(done: int, _total: int) -> None:
        bar.update(done - bar.n)

    return advance


def run_show(args: argparse.Namespace) -> int:
    """Print the contents of a gallery; return 0."""
    file: Path = args.gallery
    if not is_hdf5(file):
        folder = open_folder(file)
        print(file)
        show_rows(len(folder), folder.dim, folder.dtype, folder.model)
        show_cells(folder.centers_deg, np.diff(folder.cells))
        return 0
    table = open_hdf5(file)
    print(file)
    show_rows(len(table), table.dim, table.dtype, "the file does not say")
    if args.model is not None:
        partition = load_model(args.model, "cpu").partition
        offsets = gallery_by_cell(table, partition, find_assignments(None, args.model, file)).assignments.offsets
        show_cells(partition.centers_deg, np.diff(offsets))
    return 0


def show_rows(rows: int, dim: int, dtype: np.dtype, model: str) -> None:
    """Print the size of a gallery."""
    print(f"  photos     {rows:,}\n  embedding  {dim:,} numbers, {dtype.name}\n  model      {printable(model)}")


def show_cells(centers_deg: NDArray[np.float64], counts: NDArray[np.int64]) -> None:
    """Print how the photos are distributed over the cells."""
    largest = int(counts.argmax())
    print(f"  cells      {np.count_nonzero(counts):,} of {len(centers_deg):,} hold photos")
    print(f"  largest    {counts[largest]:,} photos: cell {largest} ({coordinates(*centers_deg[largest])})")
