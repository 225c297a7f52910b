"""Photographs of the whole disc of the Earth by NASA's EPIC camera, and views cut from them."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.files.reading import read_bytes
from geoexplain.geography.sphere import EARTH_RADIUS_KM, great_circle_km
from geoexplain.imagery.camera import Ground
from geoexplain.imagery.conditions import ViewSet
from geoexplain.imagery.views import ViewPoints, ground_seen, sample_centers, sample_view_points
from geoexplain.images import open_image
from geoexplain.words import exact_km, exact_percent, printable

LARGEST_JSON_BYTES = 2**20
DARK = 0.08
"""Maximum brightness, in [0, 1], of a pixel of space: above compression noise, below the edge of the night side."""

GROUND = 0.995
"""Ratio of the Earth's radius, at the scale of the centre, to the radius of the bright disc, whose edge is atmosphere.
Fitted to coastlines, which then match within about a pixel."""

LEAST_FILLED, MOST_FILLED = 0.7, 0.82
"""Bounds of the bright share of the disc's bounding box; a circle fills π / 4."""

LARGEST_ASPECT = 1.05
"""Maximum ratio of the longer to the shorter side of that box."""

CLOUD_BRIGHTNESS, CLOUD_COLOR, CLOUD_PX = 0.55, 0.2, 64
"""A pixel is cloud if every channel exceeds CLOUD_BRIGHTNESS and the channels differ by less than CLOUD_COLOR, in views
of CLOUD_PX × CLOUD_PX pixels."""

NEAREST_KM, FARTHEST_KM = 13_000, 1_000_000_000
"""Bounds of the distance between the Earth's centre and a camera that sees a whole disc."""

SMALLEST_DISC_PX = 64

MOST_ROUNDS = 50
"""Maximum number of rounds of drawing views of a disc until enough are clear."""

SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, eq=False)
class Disc:
    """One photograph of the whole Earth, north up.

    name              file name
    rgb               float32 (3, H, W), in [0, 1]
    lat_deg, lon_deg  position below the camera
    distance_km       distance of the camera from the Earth's centre
    middle_px         x and y of that position, from the upper left corner
    radius_px         Earth's radius in pixels at the scale of the middle
    """

    name: str
    rgb: Tensor
    lat_deg: float
    lon_deg: float
    distance_km: float
    middle_px: tuple[float, float]
    radius_px: float


def load_disc(file: Path) -> Disc:
    """Read an EPIC photograph and its metadata from the JSON file of the same stem, in the format of NASA's API.

    The metadata are `centroid` or `centroid_coordinates` (lat, lon in degrees), and `distance_km` or
    `dscovr_j2000_position` (x, y, z in km). The disc is located as the bounding box of the pixels that are not dark.

    Raises ImageError if the photograph cannot be read, and DataError if metadata are missing or invalid, or if it does
    not show a whole disc.
    """
    facts = _facts(file.with_suffix(".json"))
    rgb = torch.from_numpy(np.asarray(open_image(file)).copy()).permute(2, 0, 1).float() / 255
    bright = rgb.amax(dim=0) > DARK
    rows, columns = (torch.nonzero(bright.float().mean(dim=axis) > 0.01).flatten() for axis in (1, 0))
    if min(len(rows), len(columns)) < SMALLEST_DISC_PX:
        _refuse_picture(file)
    (top, bottom), (left, right) = ((int(lit[0]), int(lit[-1]) + 1) for lit in (rows, columns))
    sides = sorted((bottom - top, right - left))
    filled = float(bright[top:bottom, left:right].float().mean())
    if sides[1] > LARGEST_ASPECT * sides[0] or not LEAST_FILLED < filled < MOST_FILLED:
        _refuse_picture(file)
    return Disc(
        file.name,
        rgb,
        *facts,
        middle_px=((left + right) / 2, (top + bottom) / 2),
        radius_px=GROUND * sum(sides) / 4,
    )


def _refuse_picture(file: Path) -> NoReturn:
    raise DataError(f"{file.name}: expected the whole bright disc of the Earth on black, found none: take another one.")


def _facts(file: Path) -> tuple[float, float, float]:
    """Read latitude and longitude in degrees, and distance in km, from an untrusted file."""
    content = "centroid (lat, lon in degrees) and distance_km"
    if not file.is_file():
        raise DataError(
            f"expected {content} in {printable(file.name)} next to the picture, found no such file: get it as well."
        )
    try:
        data = json.loads(read_bytes(file, LARGEST_JSON_BYTES))
        point = data.get("centroid") or data["centroid_coordinates"]
        distance = data.get("distance_km") or math.hypot(*_xyz(data["dscovr_j2000_position"]))
        lat, lon, distance = float(point["lat"]), float(point["lon"]), float(distance)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise DataError(
            f"{printable(file.name)}: expected {content}, got a file without them: get it from NASA again."
        ) from None
    if not (abs(lat) <= 90 and abs(lon) <= 360 and NEAREST_KM < distance < FARTHEST_KM):  # false for NaN
        raise DataError(
            f"{printable(file.name)}: expected a latitude within 90°, a longitude within 360° and a distance from "
            f"{NEAREST_KM:,} to {exact_km(FARTHEST_KM)}, got {lat:g}, {lon:g} and {distance:g}: is it in other units?"
        )
    return lat, lon, distance


def _xyz(position: Mapping[str, Any]) -> tuple[float, float, float]:
    return float(position["x"]), float(position["y"]), float(position["z"])


def sample_disc_points(
    disc: Disc,
    count: int,
    generator: torch.Generator,
    *,
    footprint_km: tuple[float, float] = (500.0, 2000.0),
    rotation_deg: float = 30.0,
    farthest_deg: float = 60.0,
) -> ViewPoints:
    """Sample `count` views like `sample_view_points`, with centres up to `farthest_deg` from the disc's centre."""
    points = sample_view_points(count, 1, generator, footprint_km=footprint_km, rotation_deg=rotation_deg)
    farthest_km = math.radians(farthest_deg) * EARTH_RADIUS_KM
    centers = np.empty((0, 2))
    while len(centers) < count:
        drawn = sample_centers(4 * count, generator)
        near = great_circle_km(np.array([disc.lat_deg, disc.lon_deg]), drawn) <= farthest_km
        centers = np.concatenate([centers, drawn[near]])
    return ViewPoints(torch.from_numpy(centers[:count]), points.footprint_km, points.rotation_deg, points.source)


def render_disc(disc: Disc, points: ViewPoints, size_px: int) -> Tensor:
    """Render views of a disc as RGB (N, 3, size_px, size_px) in [0, 1]; the ground beyond the limb is black.

    Let D be the camera's distance from the Earth's centre, R the Earth's radius and r `radius_px`. A point at the angle
    c from the point below the camera is r sin c (D − R) / (D − R cos c) pixels from the middle. The limb is at
    cos c = R / D, at a distance of r √((D − R) / (D + R)).
    """
    ground = ground_seen(points, size_px, disc.rgb.device)
    x, y, seen = _on_disc(disc, ground)
    # Pixels of a wide view are larger than those of the disc, so four of the disc's are averaged.
    wide = points.footprint_km / size_px > 2 * EARTH_RADIUS_KM / disc.radius_px
    views = _sample(disc.rgb, x, y)
    if wide.any():
        coarse = _sample(F.avg_pool2d(disc.rgb, 2), x / 2, y / 2)
        views = torch.where(wide.view(-1, 1, 1, 1), coarse, views)
    return views * seen.unsqueeze(1)


def _sample(picture: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Sample a picture (3, H, W) bilinearly at x and y (N, S, S), in pixels from the upper left: (N, 3, S, S)."""
    height, width = picture.shape[1:]
    grid = torch.stack([2 * x / width - 1, 2 * y / height - 1], dim=-1)
    # All views are stacked vertically in one grid: one copy of the picture for each view would not fit into memory.
    views = F.grid_sample(picture[None], grid.view(1, -1, *grid.shape[2:]), mode="bilinear", align_corners=False)
    return views.view(picture.shape[0], *x.shape).transpose(0, 1)


def _on_disc(disc: Disc, ground: Ground) -> tuple[Tensor, Tensor, Tensor]:
    lat_0, lon_0 = math.radians(disc.lat_deg), math.radians(disc.lon_deg)
    d_lon = ground.lon - lon_0
    east = torch.cos(ground.lat) * torch.sin(d_lon)
    north = torch.sin(ground.lat) * math.cos(lat_0) - torch.cos(ground.lat) * torch.cos(d_lon) * math.sin(lat_0)
    toward = torch.sin(ground.lat) * math.sin(lat_0) + torch.cos(ground.lat) * torch.cos(d_lon) * math.cos(lat_0)
    scale = disc.radius_px * (disc.distance_km - EARTH_RADIUS_KM) / (disc.distance_km - EARTH_RADIUS_KM * toward)
    x, y = disc.middle_px[0] + scale * east, disc.middle_px[1] - scale * north
    return x, y, toward > EARTH_RADIUS_KM / disc.distance_km


def cloud_share(rgb: Tensor) -> Tensor:
    """Return the share (N,) of bright, colourless pixels of RGB (N, 3, H, W): clouds, but also ice and snow."""
    bright = rgb.amin(dim=1) > CLOUD_BRIGHTNESS
    plain = rgb.amax(dim=1) - rgb.amin(dim=1) < CLOUD_COLOR
    return (bright & plain).float().mean(dim=(1, 2))


def disc_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files among `paths`, and from folders those pictures that have a JSON file of the same stem.

    Raises DataError if there are paths but no pictures.
    """
    files = [file for path in paths for file in (_with_facts(path) if path.is_dir() else [path])]
    if paths and not files:
        raise DataError(
            "--discs: expected pictures, each next to a JSON file of the same stem, found none: check the folder."
        )
    return files


def _with_facts(folder: Path) -> list[Path]:
    pictures = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in SUFFIXES]
    return [file for file in pictures if file.with_suffix(".json").is_file()]


def disc_views(
    discs: Sequence[Disc],
    *,
    views: int,
    seed: int,
    footprint_km: tuple[float, float],
    rotation_deg: float,
    cloud_below: float = 1.0,
) -> ViewSet:
    """Sample `views` random views, equally many from each disc, with a share of cloud below `cloud_below`.

    1 accepts any share. Raises DataError for less than one view or disc, and if MOST_ROUNDS rounds do not find enough
    clear views.
    """
    if views < 1 or not discs:
        raise DataError(
            f"expected at least 1 view of at least 1 disc, got {views} of {len(discs)}: request one or more."
        )
    chosen: list[tuple[Disc, ViewPoints]] = []
    for number, disc in enumerate(discs):
        generator = torch.Generator().manual_seed((1000 * seed + number) % 2**63)
        missing = views // len(discs) + (number < views % len(discs))
        for _ in range(MOST_ROUNDS):
            if not missing:
                break
            points = sample_disc_points(disc, missing, generator, footprint_km=footprint_km, rotation_deg=rotation_deg)
            clear = list(range(missing))
            if cloud_below < 1:
                shares = cloud_share(render_disc(disc, points, CLOUD_PX))
                clear = torch.nonzero(shares < cloud_below).flatten().tolist()
            chosen += [(disc, points[i : i + 1]) for i in clear]
            missing -= len(clear)
        if missing:
            raise DataError(
                f"{disc.name}: expected views under less than {exact_percent(cloud_below)} cloud, found too few: "
                "request fewer, or allow more cloud."
            )
    truth = torch.cat([points.centers_deg for _, points in chosen])

    def render(start: int, stop: int, size_px: int) -> Tensor:
        return torch.cat([render_disc(disc, points, size_px) for disc, points in chosen[start:stop]])

    return ViewSet(", ".join(disc.name for disc in discs), truth, render)
