"""Sources of images with known positions: views of whole-earth imagery, or photos, as network inputs."""

import hashlib
import os
from collections.abc import Callable, Collection, Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.evaluation.batches import BATCHES_AHEAD, Sample, network_input, read_ahead, read_sample
from geoexplain.evaluation.fingerprint import manifest_fingerprint
from geoexplain.evaluation.photos import check_photos, photo_row
from geoexplain.geography.footprint import Footprint
from geoexplain.imagery.earth import Imagery
from geoexplain.imagery.views import render, sample_view_points
from geoexplain.images import Preprocess
from geoexplain.photos import Manifest


@dataclass(frozen=True, eq=False)
class Picture:
    """One image of a source.

    index             its index in the source, from 0
    id, file          its name, and its file or the name of its imagery
    lat_deg, lon_deg  its true position
    tensor            normalised (1, 3, H, W); None if it cannot be read
    reason            the reason why it cannot be read
    footprint         the area that a view shows; None for a photo
    """

    index: int
    id: str
    file: str | None
    lat_deg: float
    lon_deg: float
    tensor: Tensor | None = field(repr=False)
    reason: str | None = None
    footprint: Footprint | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """A set of images with known positions.

    title     name of the set in plots and reports
    total     number of images
    settings  everything that determines the images, as plain data
    pictures  yields them in order, except those with the given indices
    picture   returns the image with an index
    about     the same without reading its pixels
    missing   names without an image
    """

    title: str
    total: int
    settings: dict[str, Any]
    pictures: Callable[[Collection[int]], Generator[Picture, None, None]] = field(repr=False)
    picture: Callable[[int], Picture] = field(repr=False)
    about: Callable[[int], Picture] = field(repr=False)
    missing: tuple[str, ...] = ()


def view_source(
    imagery: Imagery,
    preprocess: Preprocess,
    *,
    views: int,
    footprint_km: tuple[float, float] = (500.0, 2000.0),
    rotation_deg: float = 30.0,
    seed: int = 0,
) -> Source:
    """Return a source of the plain views that `views_under` draws with the same settings, from all the imagery.

    Raises DataError if `views` is not positive or the footprints are out of range.
    """
    if views < 1:
        raise DataError(f"expected at least 1 view, got {views}.")
    points = sample_view_points(
        views,
        len(imagery),
        torch.Generator().manual_seed(seed),
        footprint_km=footprint_km,
        rotation_deg=rotation_deg,
    )

    def about(index: int) -> Picture:
        one = points[index : index + 1]
        lat, lon = one.centers_deg[0].tolist()
        covers = Footprint(lat, lon, float(one.footprint_km), float(one.rotation_deg))
        return Picture(
            index, f"view-{index:05d}", imagery.names[int(one.source)], lat, lon, tensor=None, footprint=covers
        )

    def picture(index: int) -> Picture:
        pixels = render(imagery, points[index : index + 1], preprocess.size_px)[:, :3]
        return replace(about(index), tensor=preprocess.normalize(pixels))

    def pictures(known: Collection[int]) -> Generator[Picture, None, None]:
        yield from (picture(index) for index in range(views) if index not in known)

    settings = {
        "imagery": list(imagery.names),
        "imagery_sha256": hashlib.sha256(imagery.texels.cpu().numpy().data).hexdigest(),
        "views": views,
        "footprint_km": list(footprint_km),
        "rotation_deg": rotation_deg,
        "seed": seed,
    }
    return Source(f"{views:,} views of {', '.join(imagery.names)}", views, settings, pictures, picture, about)


def photo_source(manifest: Manifest, images: Path, preprocess: Preprocess, *, workers: int | None = None) -> Source:
    """Return a source of a manifest's photos in `images`, decoded ahead by `workers` threads (None: one per core).

    Raises DataError for a manifest without photos.
    """
    check_photos(manifest, images)
    rows = tuple(photo_row(photo, images) for photo in manifest.photos)
    threads = workers or os.cpu_count() or 1

    def about(index: int) -> Picture:
        photo = manifest.photos[index]
        return Picture(index, photo.id, rows[index].file, photo.lat_deg, photo.lon_deg, None)

    def of_sample(sample: Sample) -> Picture:
        x = None
        if sample.pixels is not None:
            x = network_input([sample.pixels], preprocess, torch.device("cpu"))
        return replace(about(sample.index), tensor=x, reason=sample.reason or None)

    def picture(index: int) -> Picture:
        return of_sample(read_sample(index, manifest.photos[index].file, preprocess, crops=1))

    def pictures(known: Collection[int]) -> Generator[Picture, None, None]:
        samples = read_ahead(
            [photo.file for photo in manifest.photos],
            preprocess,
            crops=1,
            workers=threads,
            ahead=BATCHES_AHEAD * threads,
            known=dict.fromkeys(known),
        )
        with closing(samples):
            yield from (of_sample(sample) for sample in samples if sample.index not in known)

    settings = {"photos": len(rows), "manifest_sha256": manifest_fingerprint(rows, manifest)}
    return Source(f"{len(rows):,} photos", len(rows), settings, pictures, picture, about, manifest.missing)
