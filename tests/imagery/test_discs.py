"""Views of discs, against a ray-traced picture with known positions; untrusted metadata are checked."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from geoexplain.errors import DataError, ImageError
from geoexplain.geography.sphere import EARTH_RADIUS_KM, degrees, great_circle_km
from geoexplain.imagery.discs import (
    LARGEST_JSON_BYTES,
    Disc,
    cloud_share,
    disc_files,
    disc_views,
    load_disc,
    render_disc,
    sample_disc_points,
)
from geoexplain.imagery.views import ViewPoints, ground_seen
from tests.imagery.discs import DISTANCE_KM, coloured, disc_pixels, places_of, write_disc
from tests.imagery.scenes import generator

SAMPLING = {"footprint_km": (500.0, 2000.0), "rotation_deg": 30.0}


@pytest.fixture(scope="module")
def disc(tmp_path_factory: pytest.TempPathFactory) -> Disc:
    return load_disc(write_disc(tmp_path_factory.mktemp("disc")))


def view(lat: float, lon: float, footprint_km: float, rotation_deg: float = 0.0) -> ViewPoints:
    return ViewPoints(
        torch.tensor([(lat, lon)], dtype=torch.float64),
        torch.tensor([footprint_km]),
        torch.tensor([rotation_deg]),
        torch.zeros(1).long(),
    )


def test_the_disc_is_found_in_the_picture(disc: Disc) -> None:
    assert (disc.name, disc.lat_deg, disc.lon_deg, disc.distance_km) == ("epic.png", 20.0, 170.0, DISTANCE_KM)
    assert disc.middle_px == pytest.approx((351.0, 348.5), abs=0.6)
    assert disc.radius_px == pytest.approx(300.0, abs=0.6)
    assert disc.rgb.shape == (3, 700, 700)


@pytest.mark.parametrize(
    ("place", "footprint_km", "rotation_deg"),
    [
        ((20.0, 170.0), 1000.0, 0.0),  # straight below
        ((20.0, 170.0), 400.0, 75.0),
        ((-10.0, 179.9), 2000.0, 30.0),  # across the antimeridian
        ((60.0, -150.0), 1500.0, -40.0),
        ((75.0, 100.0), 800.0, 0.0),  # far aslant
    ],
)
def test_every_place_is_shown_at_its_coordinates_to_a_pixel(
    disc: Disc, place: tuple[float, float], footprint_km: float, rotation_deg: float
) -> None:
    points = view(*place, footprint_km, rotation_deg)
    rgb = render_disc(disc, points, 24)[0]
    ground = ground_seen(points, 24, torch.device("cpu"))
    expected = np.degrees(torch.stack([ground.lat[0], ground.lon[0]], dim=-1).double().numpy())
    vectors = places_of(rgb.permute(1, 2, 0).double().numpy())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1, atol=0.03)  # eight bits are 0.005 each
    # a pixel of the picture is 21 km where it is seen straight, 1 / cos of the angle from there as much aslant
    aslant = math.cos(great_circle_km((20.0, 170.0), place) / EARTH_RADIUS_KM + footprint_km / EARTH_RADIUS_KM / 1.4)
    off_km = great_circle_km(expected, degrees(vectors))
    assert off_km.max() < 50 / max(aslant, 0.15)
    assert off_km.mean() < 25 / max(aslant, 0.15)


def test_the_ground_beyond_the_limb_is_black(disc: Disc) -> None:
    # from D the limb is acos(R / D) = 89.76° away; the view reaches from 60 to 120°
    points = view(20 - 90, 170.0, 60 / 90 * 10_000)
    rgb = render_disc(disc, points, 64)
    ground = ground_seen(points, 64, torch.device("cpu"))
    places = np.degrees(torch.stack([ground.lat[0], ground.lon[0]], dim=-1).double().numpy())
    angle = np.degrees(great_circle_km((20.0, 170.0), places) / EARTH_RADIUS_KM)
    limb = np.degrees(np.arccos(EARTH_RADIUS_KM / DISTANCE_KM))
    assert limb == pytest.approx(89.76, abs=0.01)
    behind = angle > limb + 0.05
    black = (rgb[0] == 0).all(dim=0).numpy()
    assert black[behind].all()
    assert not black[angle < limb - 0.05].any()
    assert 0.3 < behind.mean() < 0.7


@pytest.mark.parametrize("distance_km", [20_000.0, DISTANCE_KM])
def test_the_limb_lies_where_the_line_of_sight_touches_the_earth(distance_km: float) -> None:
    # that line runs off the axis by R / √(D² − R²), and meets the plane of the nearest point, D − R away, as far aside
    r = 150.0
    limb_px = r * (distance_km - EARTH_RADIUS_KM) / math.sqrt(distance_km**2 - EARTH_RADIUS_KM**2)
    ticks = torch.arange(400) + 0.5 - 200
    away_px = torch.hypot(ticks[:, None], ticks).expand(3, 400, 400)  # a picture that says how far from its middle
    disc = Disc("rings", away_px, 0.0, 0.0, distance_km, (200.0, 200.0), r)
    angle = math.degrees(math.acos(EARTH_RADIUS_KM / distance_km))
    seen = render_disc(disc, view(0.0, angle, 600.0), 200)
    assert seen.max() == pytest.approx(limb_px, abs=0.1)
    assert limb_px == pytest.approx(r * math.sqrt((distance_km - EARTH_RADIUS_KM) / (distance_km + EARTH_RADIUS_KM)))
    assert (seen == 0).any()


def test_views_of_a_batch_are_the_views_one_by_one(disc: Disc) -> None:
    points = sample_disc_points(disc, 7, generator(3), footprint_km=(300.0, 6000.0), rotation_deg=90)
    together = render_disc(disc, points, 16)
    alone = torch.cat([render_disc(disc, points[i : i + 1], 16) for i in range(7)])
    torch.testing.assert_close(together, alone)


def test_wide_views_average_what_their_pixels_cover(disc: Disc) -> None:
    stripes = torch.zeros(3, 700, 700)
    stripes[:, :, ::2] = 1  # one pixel each, 21 km
    striped = dataclasses.replace(disc, rgb=stripes)
    wide = render_disc(striped, view(20, 170, 32 * 60), 32)  # 60 km a pixel
    assert (wide - 0.5).abs().max() < 1e-5
    narrow = render_disc(striped, view(20, 170, 32 * 30), 32)
    assert narrow.std() > 0.2


def test_halving_leaves_places_where_they_are() -> None:
    # a picture with an odd number of pixels on each side, whose last row and column no halving has
    places, bright = disc_pixels(701)
    rgb = torch.from_numpy(coloured(places, bright)).permute(2, 0, 1).float() / 255
    disc = Disc("odd", rgb, 20.0, 170.0, DISTANCE_KM, (351.0, 348.5), 300.0)
    points = view(30, -170, 32 * 60)
    found = places_of(render_disc(disc, points, 32)[0].permute(1, 2, 0).double().numpy())
    ground = ground_seen(points, 32, torch.device("cpu"))
    expected = np.degrees(torch.stack([ground.lat[0], ground.lon[0]], dim=-1).double().numpy())
    vectors = np.abs(np.linalg.norm(found, axis=-1) - 1) < 0.1
    assert vectors.mean() > 0.99
    assert np.median(great_circle_km(expected, degrees(found))) < 15


@pytest.mark.parametrize(
    "data",
    [
        {"centroid": {"lat": 20, "lon": 170}, "distance_km": 1500000},
        {"centroid": {"lat": "20", "lon": 170.0}, "distance_km": "1500000"},
        {"centroid_coordinates": {"lat": 20, "lon": 170}, "distance_km": 1500000},
        {
            "centroid_coordinates": {"lat": 20, "lon": 170},
            "dscovr_j2000_position": {"x": 900000, "y": -1200000, "z": 0},
        },
    ],
)
def test_metadata_are_read_in_nasas_format(tmp_path: Path, data: dict) -> None:
    found = load_disc(write_disc(tmp_path, data=data))
    assert (found.lat_deg, found.lon_deg, found.distance_km) == (20, 170, 1_500_000)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "got a file without them"),
        (None, "got a file without them"),
        ({}, "got a file without them"),
        ({"centroid": [20, 170], "distance_km": 1500000}, "got a file without them"),
        ({"centroid": {"lat": 20}, "distance_km": 1500000}, "got a file without them"),
        ({"centroid": {"lat": "north", "lon": 0}, "distance_km": 1500000}, "got a file without them"),
        ({"centroid": {"lat": 20, "lon": 170}}, "got a file without them"),
        ({"centroid": {"lat": 20, "lon": 170}, "distance_km": [1]}, "got a file without them"),
        ({"centroid": {"lat": 20, "lon": 170}, "distance_km": 10**400}, "got a file without them"),
        ({"centroid": {"lat": 20, "lon": 170}, "dscovr_j2000_position": {"x": 10**400, "y": 0, "z": 0}}, "without"),
        ({"centroid": {"lat": 91, "lon": 170}, "distance_km": 1500000}, "got 91, 170 and 1.5e+06"),
        ({"centroid": {"lat": 20, "lon": 361}, "distance_km": 1500000}, "expected a latitude"),
        (
            {"centroid": {"lat": 20, "lon": 170}, "distance_km": 1500},
            "13,000 to 1,000,000,000 km, got 20, 170 and 1500",
        ),
        ({"centroid": {"lat": float("nan"), "lon": 170}, "distance_km": 1500000}, "expected a latitude"),
        ({"centroid": {"lat": 20, "lon": 170}, "distance_km": float("inf")}, "expected a latitude"),
    ],
)
def test_invalid_metadata_are_refused(tmp_path: Path, data: object, sentence: str) -> None:
    file = write_disc(tmp_path)
    file.with_suffix(".json").write_text(json.dumps(data))
    with pytest.raises(DataError) as caught:
        load_disc(file)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("epic.json: expected")


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b'{"centroid": {"lat": 1e999'])
def test_invalid_json_is_refused(tmp_path: Path, content: bytes) -> None:
    file = write_disc(tmp_path)
    file.with_suffix(".json").write_bytes(content)
    with pytest.raises(DataError, match=r"^epic.json: expected centroid .*, got a file without them"):
        load_disc(file)


def test_a_huge_file_is_not_read_and_a_missing_one_is_named(tmp_path: Path) -> None:
    file = write_disc(tmp_path)
    with file.with_suffix(".json").open("wb") as opened:
        opened.truncate(LARGEST_JSON_BYTES + 1)
    with pytest.raises(DataError, match="expected at most 1,048,576 bytes"):
        load_disc(file)
    file.with_suffix(".json").unlink()
    with pytest.raises(DataError, match=r"in epic.json next to the picture, found no such file"):
        load_disc(file)


def odd_pictures() -> dict[str, np.ndarray]:
    whole = coloured(*disc_pixels())
    crescent = whole.copy()
    crescent[:, :300] = 0
    ring = whole.copy()
    ring[200:500, 200:500] = 0
    return {
        "dark": np.zeros((300, 300, 3), np.uint8),
        "a photo": np.full((300, 400, 3), 90, np.uint8),
        "a square photo": np.full((300, 300, 3), 90, np.uint8),
        "cut off": whole[:500],
        "a crescent": crescent,
        "a ring": ring,
        "tiny": coloured(*disc_pixels(60, 25.0, middle_px=(30.0, 30.0))),
    }


@pytest.mark.parametrize("name", odd_pictures())
def test_a_picture_without_a_whole_disc_is_refused(tmp_path: Path, name: str) -> None:
    file = write_disc(tmp_path, pixels=odd_pictures()[name])
    with pytest.raises(DataError, match=r"^epic.png: expected the whole bright disc of the Earth on black, found none"):
        load_disc(file)


def test_a_picture_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    file = write_disc(tmp_path)
    file.write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"^epic.png"):
        load_disc(file)


def test_discs_are_found_in_folders_by_their_json_files(tmp_path: Path) -> None:
    first, second = write_disc(tmp_path, "b"), write_disc(tmp_path, "a")
    (tmp_path / "clouds.jpg").write_bytes(b"a picture without facts")
    (tmp_path / "notes.json").write_text("{}")
    assert disc_files([tmp_path]) == [second, first]
    # a file that is named directly is kept, so that the error can name its missing metadata
    assert disc_files([first, tmp_path / "clouds.jpg"]) == [first, tmp_path / "clouds.jpg"]
    assert disc_files([]) == []
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="--discs: expected pictures, each next to a JSON file of the same stem"):
        disc_files([tmp_path / "empty"])


def test_the_share_of_clouds_by_hand() -> None:
    view = torch.zeros(2, 3, 2, 4)
    view[0, :, 0, 0] = 0.9  # white: cloud
    view[0, :, 0, 1] = torch.tensor([0.6, 0.7, 0.75])  # bluish white: cloud
    view[0, :, 0, 2] = torch.tensor([0.9, 0.7, 0.6])  # sand
    view[0, :, 0, 3] = 0.5  # grey
    assert cloud_share(view).tolist() == [0.25, 0.0]


def test_views_of_a_disc_lie_on_it(disc: Disc) -> None:
    points = sample_disc_points(disc, 80, generator(), footprint_km=(500.0, 2000.0), rotation_deg=30, farthest_deg=50)
    assert len(points) == 80
    away = great_circle_km((disc.lat_deg, disc.lon_deg), points.centers_deg.numpy()) / EARTH_RADIUS_KM
    assert 30 < np.degrees(away).max() <= 50
    assert points.footprint_km.min() >= 499
    assert points.rotation_deg.abs().max() <= 30


@pytest.fixture(scope="module")
def cloudy(disc: Disc) -> Disc:
    """Return a picture that is white north of 20° N and coloured elsewhere."""
    places, _ = disc_pixels()
    north = torch.from_numpy(places[..., 2] > math.sin(math.radians(20)))
    return dataclasses.replace(disc, name="cloudy", rgb=torch.where(north, 0.9, disc.rgb.clamp_max(0.5)))


def test_every_disc_gives_equally_many_views(disc: Disc, cloudy: Disc) -> None:
    views = disc_views([disc, cloudy], views=7, seed=1, **SAMPLING)
    assert (len(views), views.name) == (7, "epic.png, cloudy")
    rgb = views.render(0, 7, 16)
    assert rgb.shape == (7, 3, 16, 16)
    torch.testing.assert_close(views.render(3, 6, 16), rgb[3:6])
    # the first four are of the disc whose colours encode positions
    shown = degrees(places_of(rgb[:4, :, 7:9, 7:9].mean(dim=(2, 3)).double().numpy()))
    assert great_circle_km(views.truth_deg[:4].numpy(), shown).max() < 150
    again = disc_views([disc, cloudy], views=7, seed=1, **SAMPLING)
    assert torch.equal(views.truth_deg, again.truth_deg)
    assert not torch.equal(views.truth_deg, disc_views([disc, cloudy], views=7, seed=2, **SAMPLING).truth_deg)
    assert len(disc_views([disc, cloudy], views=1, seed=2**63 - 1, **SAMPLING)) == 1


def test_only_clear_views_are_used_on_request(cloudy: Disc) -> None:
    clear = disc_views([cloudy], views=30, seed=0, cloud_below=0.1, **SAMPLING)
    assert cloud_share(clear.render(0, 30, 64)).max() < 0.12
    assert clear.truth_deg[:, 0].max() < 20
    anything = disc_views([cloudy], views=30, seed=0, **SAMPLING)
    assert anything.truth_deg[:, 0].max() > 30


def test_too_few_clear_views_are_refused(disc: Disc) -> None:
    white = dataclasses.replace(disc, rgb=torch.full((3, 700, 700), 0.9))
    with pytest.raises(DataError, match=r"epic.png: expected views under less than 30 % cloud, found too few"):
        disc_views([white], views=2, seed=0, cloud_below=0.3, **SAMPLING)
    for discs, views in (([disc], 0), ([], 3)):
        with pytest.raises(DataError, match="expected at least 1 view of at least 1 disc"):
            disc_views(discs, views=views, seed=0, **SAMPLING)
