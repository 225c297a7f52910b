"""Positions of the pixels of a view, against geopy and spherical trigonometry."""

from pathlib import Path

import numpy as np
import pytest
import torch
from geopy.distance import EARTH_RADIUS as GEOPY_RADIUS_KM
from geopy.distance import great_circle
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.geography.sphere import degrees, great_circle_km, unit_vectors
from geoexplain.imagery.earth import Imagery, imagery_files, load_clouds, load_imagery
from geoexplain.imagery.views import LAND_MASK, ViewPoints, render, sample_centers, sample_view_points
from tests.imagery.earths import grid_deg, write_png

LAND = np.asarray(Image.open(LAND_MASK))
LAND_SHARE_OF_EARTH = 0.292


def test_sixteen_bits_are_scaled_and_floats_refused(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 32 * 64).reshape(32, 64).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    clouds = load_clouds([tmp_path / "deep.png"], height=32)
    np.testing.assert_array_equal(clouds.texels[: 32 * 64, 0].numpy(), deep.ravel() // 257)
    Image.fromarray(np.zeros((32, 64), np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(DataError, match="expected 8 or 16 bits per value, got floating point"):
        load_clouds([tmp_path / "float.tiff"])


@pytest.fixture(scope="module")
def positions() -> Imagery:
    """Return one level whose texels are the unit vectors of their positions, as floats: bytes would be 50 km coarse."""
    vectors = torch.from_numpy(unit_vectors(grid_deg(720))).reshape(-1, 3)
    texels = torch.cat([(vectors + 1) / 2 * 255, torch.zeros(len(vectors), 1)], dim=1).float()
    return Imagery(texels, torch.tensor([0]), torch.tensor([720]), ("positions",))


def one_view(
    center: tuple[float, float], footprint_km: float = 1000, rotation_deg: float = 0, source: int = 0
) -> ViewPoints:
    return ViewPoints(
        torch.tensor([center], dtype=torch.float64),
        torch.tensor([footprint_km]),
        torch.tensor([float(rotation_deg)]),
        torch.tensor([source]),
    )


def places_seen(center: tuple, footprint_km: float, rotation_deg: float, size_px: int) -> np.ndarray:
    """Compute the position (S, S, 2) in degrees of every pixel with geopy, from distance and bearing to the centre."""
    places = np.empty((size_px, size_px, 2))
    for row in range(size_px):
        for column in range(size_px):
            right = ((column + 0.5) / size_px - 0.5) * footprint_km
            up = (0.5 - (row + 0.5) / size_px) * footprint_km
            bearing = np.degrees(np.arctan2(right, up)) + rotation_deg
            distance = great_circle(kilometers=np.hypot(right, up) * GEOPY_RADIUS_KM / 6371.0)
            there = distance.destination(center, bearing)
            places[row, column] = there.latitude, there.longitude
    return places


@pytest.mark.parametrize("rotation_deg", [0, 30, -75])
@pytest.mark.parametrize("footprint_km", [500, 2500])
@pytest.mark.parametrize(
    "center",
    [(0.0, 0.0), (45.0, 10.0), (-33.9, 151.2), (10.0, 179.9), (-17.0, -180.0), (89.5, 40.0), (-88.0, -100.0)],
    ids=["zero", "alps", "sydney", "east of fiji", "antimeridian", "north pole", "south pole"],
)
def test_every_pixel_shows_the_place_at_its_distance_and_bearing(
    positions: Imagery, center: tuple[float, float], footprint_km: float, rotation_deg: float
) -> None:
    view = render(positions, one_view(center, footprint_km, rotation_deg), 12)
    seen = degrees(view[0, :3].permute(1, 2, 0).double().numpy() * 2 - 1)
    expected = places_seen(center, footprint_km, rotation_deg, 12)
    # a pixel is 42 or 208 km; beyond the last row, half a texel or 14 km from a pole, the image says nothing new
    assert great_circle_km(seen, expected).max() < (15 if abs(center[0]) > 80 else 1)


def test_a_place_is_shown_far_more_finely_than_a_pixel(tmp_path: Path) -> None:
    # red rises by 1 per pixel column: with bilinear interpolation the longitude is told to a tenth of a pixel
    height = 64
    pixels = np.zeros((height, 2 * height, 3), np.uint8)
    pixels[..., 0] = np.arange(2 * height)
    pixels[..., 1] = np.arange(height)[:, None] * 3
    imagery = load_imagery([write_png(tmp_path, pixels)])
    center, footprint_km = (20.0, -30.0), 2000.0
    view = render(imagery, one_view(center, footprint_km), 8)[0] * 255
    places = places_seen(center, footprint_km, 0, 8)
    np.testing.assert_allclose(view[0], (places[..., 1] + 180) / 180 * height - 0.5, atol=0.02)
    np.testing.assert_allclose(view[1], ((90 - places[..., 0]) / 180 * height - 0.5) * 3, atol=0.02)


def test_the_antimeridian_leaves_no_seam(tmp_path: Path) -> None:
    lon = np.radians(grid_deg(180)[..., 1])
    wave = np.repeat(np.round((np.cos(lon) + 1) * 127.5)[..., None], 3, axis=-1).astype(np.uint8)
    view = render(load_imagery([write_png(tmp_path, wave)]), one_view((0.0, 180.0), 800), 32)[0, 0]
    assert view.max() < 0.01  # the cosine's valley, level over 7 degrees


def test_at_the_equator_up_is_north_and_right_is_east(tmp_path: Path) -> None:
    pixels = np.zeros((180, 360, 3), np.uint8)
    pixels[:90, :, 0] = 255  # north
    pixels[:, 180:, 1] = 255  # east of Greenwich
    imagery = load_imagery([write_png(tmp_path, pixels)])
    red, green = render(imagery, one_view((0.0, 0.0), 1500), 8)[0, :2]
    assert red[:3].min() == 1
    assert red[5:].max() == 0
    assert green[:, 5:].min() == 1
    assert green[:, :3].max() == 0
    # the upper edge at bearing 90: what is up is east, what is right is south
    red, green = render(imagery, one_view((0.0, 0.0), 1500, rotation_deg=90), 8)[0, :2]
    assert green[:3].min() == 1
    assert red[:, 5:].max() == 0
    assert red[:, :3].min() == 1


@pytest.mark.parametrize(
    ("km_per_pixel", "level"), [(10, 0), (55.6, 0), (75, 0), (82, 1), (111, 1), (150, 1), (170, 2), (444, 3), (2000, 3)]
)
def test_the_level_is_the_one_with_pixels_of_the_view_s_size(km_per_pixel: float, level: int) -> None:
    # 360 rows are 55.6 km each; the next levels 111, 222 and 445; between two, the ratio's root decides
    heights = [360, 180, 90, 45]
    shades = [10, 60, 110, 160]
    texels = torch.cat(
        [torch.full((2 * h * h, 4), shade, dtype=torch.uint8) for h, shade in zip(heights, shades, strict=True)]
    )
    counts = torch.tensor([0] + [2 * h * h for h in heights[:-1]])
    imagery = Imagery(texels, counts.cumsum(0), torch.tensor(heights), ("shades",))
    view = render(imagery, one_view((10.0, 10.0), km_per_pixel * 8), 8)
    assert torch.equal(view, torch.full_like(view, shades[level] / 255))


def test_each_view_is_of_its_own_source_and_level(tmp_path: Path) -> None:
    files = [write_png(tmp_path, np.full((64, 128, 3), shade, np.uint8), f"{shade}.png") for shade in (20, 90, 200)]
    imagery = load_imagery(files)
    assert imagery.names == ("20.png", "90.png", "200.png")
    points = ViewPoints(
        torch.tensor([(0.0, 0.0), (89.0, 10.0), (-89.0, 179.0), (5.0, 5.0)], dtype=torch.float64),
        torch.tensor([300.0, 3000.0, 12_000.0, 20_000.0]),
        torch.zeros(4),
        torch.tensor([2, 0, 1, 2]),
    )
    views = render(imagery, points, 6)
    for view, shade in zip(views, (200, 20, 90, 200), strict=True):
        np.testing.assert_allclose(view[:3], shade / 255, atol=1e-6)


def test_views_of_a_batch_are_the_views_one_by_one(positions: Imagery) -> None:
    points = sample_view_points(7, 1, torch.Generator().manual_seed(3))
    together = render(positions, points, 16)
    alone = torch.cat([render(positions, points[i : i + 1], 16) for i in range(7)])
    torch.testing.assert_close(together, alone)


def test_halvings_are_means_rounded_to_nearest(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 3)).astype(np.uint8)
    imagery = load_imagery([write_png(tmp_path, pixels)])
    assert imagery.heights.tolist() == [8, 4, 2, 1]
    assert imagery.offsets.tolist() == [0, 128, 160, 168]
    second = imagery.texels[128:160, :3].view(4, 8, 3).numpy()
    expected = np.floor(pixels.reshape(4, 2, 8, 2, 3).astype(float).mean(axis=(1, 3)) + 0.5)
    np.testing.assert_array_equal(second, expected)


def test_water_is_where_all_uniform_seas_agree(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    land = rng.integers(60, 255, (32, 64, 3)).astype(np.uint8)
    sea = np.zeros((32, 64), bool)
    sea[:, 20:60] = True
    ice = sea.copy()
    ice[:8] = False  # in one of two months the northern sea is frozen
    months = [np.where(water[..., None], (2, 5, 20), land).astype(np.uint8) for water in (sea, ice)]
    relief = rng.integers(0, 255, (32, 64, 3)).astype(np.uint8)  # no uniform sea: is not used
    files = [write_png(tmp_path, image, f"{i}.png") for i, image in enumerate([*months, relief])]
    water = load_imagery(files).texels[: 3 * 32 * 64, 3].view(3, 32, 64)
    for mask in water:
        np.testing.assert_array_equal(mask, np.where(ice, 255, 0))
    alone = load_imagery(files[2:])
    assert alone.texels[:, 3].max() == 0


def test_maps_of_clouds_have_one_channel_and_limited_rows(tmp_path: Path) -> None:
    pixels = np.zeros((64, 128, 3), np.uint8)
    pixels[:, :64] = (30, 60, 90)  # grey 60
    pixels[:, 64:] = 255
    clouds = load_clouds([write_png(tmp_path, pixels)], height=32)
    assert (clouds.heights.tolist(), clouds.texels.shape[1], clouds.names) == ([32, 16, 8, 4, 2], 1, ("earth.png",))
    first = clouds.texels[: 32 * 64].view(32, 64)
    assert (first[:, 4:28] == 60).all()
    assert (first[:, 36:60] == 255).all()
    view = render(clouds, one_view((0.0, -90.0), 500), 4)
    assert view.shape == (1, 1, 4, 4)
    np.testing.assert_allclose(view, 60 / 255, atol=1e-6)


@pytest.mark.parametrize("name", ["square.png", "broken.jpg", "missing.png"])
def test_files_that_are_not_whole_earth_images_are_refused_by_name(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "square.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    with pytest.raises(DataError, match=f"^{name}: expected"):
        load_imagery([tmp_path / name])


def test_an_empty_list_of_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least one equirectangular image"):
        load_imagery([])
    with pytest.raises(DataError, match="found none"):
        imagery_files(tmp_path)
    with pytest.raises(DataError, match="found none"):
        imagery_files(tmp_path / "nowhere")


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    for name in ("world.11.jpg", "world.02.JPG", "a.tif", "notes.txt"):
        (tmp_path / name).touch()
    assert [file.name for file in imagery_files(tmp_path)] == ["a.tif", "world.02.JPG", "world.11.jpg"]


def land_at(points_deg: np.ndarray) -> np.ndarray:
    row = np.clip(((90 - points_deg[:, 0]) * 4).astype(int), 0, 719)
    return LAND[row, ((points_deg[:, 1] + 180) * 4).astype(int) % 1440]


def test_centres_on_land_are_spread_by_area() -> None:
    # 20,000 views: each band of latitude gets its share of the Earth's land within four standard deviations
    centers = sample_centers(20_000, torch.Generator().manual_seed(0), near_km=0.0)
    assert land_at(centers).all()
    area = np.cos(np.radians(grid_deg(720)[..., 0]))
    assert (LAND * area).sum() / area.sum() == pytest.approx(LAND_SHARE_OF_EARTH, abs=0.01)
    bands = np.arange(-90, 91, 15)
    expected = np.histogram(grid_deg(720)[..., 0], bands, weights=LAND * area)[0]
    expected *= len(centers) / expected.sum()
    observed = np.histogram(centers[:, 0], bands)[0]
    assert (np.abs(observed - expected) <= 4 * np.sqrt(expected + 1)).all()
    sectors = np.arange(-180, 181, 30)
    expected = np.histogram(grid_deg(720)[..., 1], sectors, weights=LAND * area)[0]
    expected *= len(centers) / expected.sum()
    assert (np.abs(np.histogram(centers[:, 1], sectors)[0] - expected) <= 4 * np.sqrt(expected + 1)).all()


def test_centres_at_sea_are_near_land() -> None:
    centers = sample_centers(3000, torch.Generator().manual_seed(1), near_km=60.0)
    at_sea = centers[~land_at(centers)]
    assert 0.03 < len(at_sea) / len(centers) < 0.3
    lands = grid_deg(720)[LAND]
    for center in at_sea[:80]:
        close = lands[np.abs(lands[:, 0] - center[0]) < 1]
        # a cell of the mask is 28 km wide at most: its middle may lie 20 km behind its shore
        assert great_circle_km(center, close).min() < 60 + 21


def test_the_middle_of_an_ocean_is_never_a_centre() -> None:
    centers = sample_centers(4000, torch.Generator().manual_seed(2))
    for empty in ((-48.9, -123.4), (30.0, -40.0), (-40.0, 80.0)):
        assert great_circle_km(empty, centers).min() > 300


def test_views_are_the_same_for_a_seed() -> None:
    first, again, other = (sample_view_points(50, 11, torch.Generator().manual_seed(s)) for s in (4, 4, 5))
    for name in ("centers_deg", "footprint_km", "rotation_deg", "source"):
        assert torch.equal(getattr(first, name), getattr(again, name))
        assert not torch.equal(getattr(first, name), getattr(other, name))


def test_footprints_are_log_uniform_rotations_and_sources_uniform() -> None:
    points = sample_view_points(6000, 4, torch.Generator().manual_seed(6), footprint_km=(400, 2500), rotation_deg=30)
    assert 400 <= points.footprint_km.min() <= points.footprint_km.max() <= 2500
    # half of the views lie below the geometric mean, √(400 · 2500) = 1000
    assert (points.footprint_km < 1000).float().mean() == pytest.approx(0.5, abs=0.03)
    assert points.rotation_deg.abs().max() <= 30
    assert points.rotation_deg.std() == pytest.approx(60 / np.sqrt(12), rel=0.05)
    assert points.rotation_deg.mean() == pytest.approx(0, abs=1)
    np.testing.assert_allclose(torch.bincount(points.source) / 6000, 0.25, atol=0.03)
    correlation = np.corrcoef(points.footprint_km, points.rotation_deg)[0, 1]
    assert abs(correlation) < 0.05


@pytest.mark.parametrize("footprint_km", [(0, 10), (-5, 10), (500, 400), (100, 30_000), (float("nan"), 10)])
def test_invalid_footprints_are_refused(footprint_km: tuple[float, float]) -> None:
    with pytest.raises(DataError, match="expected footprints"):
        sample_view_points(1, 1, torch.Generator(), footprint_km=footprint_km)
