"""Ground positions of a camera's rays, against cases worked out by hand, geopy, and a plain ray tracer in float64."""

import math

import numpy as np
import pytest
import torch
from geopy.distance import EARTH_RADIUS as GEOPY_RADIUS_KM
from geopy.distance import great_circle

from geoexplain.geography.sphere import EARTH_RADIUS_KM, degrees, great_circle_km, unit_vectors
from geoexplain.imagery.camera import Camera, Ground, camera_ground, equidistant_ground
from geoexplain.imagery.views import ViewPoints, ground_seen

PLACES = [(0.0, 0.0), (48.0, 11.0), (-33.9, 151.2), (-17.0, 179.9), (89.0, 30.0), (-90.0, 0.0)]


def seen(
    center: tuple[float, float] = (0.0, 0.0),
    *,
    width: float,
    size_px: int,
    tilt_deg: float = 0.0,
    toward_deg: float = 0.0,
    nearness: float = 0.0,
    rotation_deg: float = 0.0,
) -> Ground:
    """One view `width` Earth radii wide."""
    lat, lon = (torch.tensor([math.radians(x)]) for x in center)
    camera = Camera(*(torch.tensor([float(x)]) for x in (tilt_deg, toward_deg, nearness)))
    footprint, rotation = torch.tensor([width * EARTH_RADIUS_KM]), torch.tensor([math.radians(rotation_deg)])
    return camera_ground(lat, lon, footprint, rotation, camera=camera, size_px=size_px)


def places(ground: Ground) -> np.ndarray:
    """(S, S, 2) in degrees."""
    return np.degrees(torch.stack([ground.lat[0], ground.lon[0]], dim=-1).double().numpy())


def traced(
    center, *, width, size_px, tilt_deg, toward_deg, nearness, rotation_deg=0.0
) -> tuple[np.ndarray, np.ndarray]:
    """(S, S, 3): where the ray of every pixel first meets the unit sphere, NaN where it does not; the camera (3,).

    A camera at a position in space, a picture plane at the centre, and the quadratic equation, in float64.
    """
    up, lon = unit_vectors(np.array(center)), math.radians(center[1])
    east = np.array([-math.sin(lon), math.cos(lon), 0.0])
    north = np.cross(up, east)
    toward, turn, tilt = map(math.radians, (toward_deg, rotation_deg, tilt_deg))
    line = math.cos(tilt) * up + math.sin(tilt) * (math.cos(toward) * north + math.sin(toward) * east)
    camera = up + line / nearness
    above = math.cos(turn) * north + math.sin(turn) * east
    above -= (above @ line) * line
    above /= np.linalg.norm(above)
    right = np.cross(above, line)
    found = np.full((size_px, size_px, 3), np.nan)
    for row in range(size_px):
        for column in range(size_px):
            x, y = ((column + 0.5) / size_px - 0.5) * width, (0.5 - (row + 0.5) / size_px) * width
            ray = up + x * right + y * above - camera
            ray /= np.linalg.norm(ray)
            half = camera @ ray
            root = half * half - (camera @ camera - 1)
            if root >= 0 and -half - math.sqrt(root) > 0:  # in front of the camera
                found[row, column] = camera + (-half - math.sqrt(root)) * ray
    return found, camera


def test_from_far_above_the_earth_is_seen_as_in_the_orthographic_projection() -> None:
    size_px = 41
    ground = seen(width=3.0, size_px=size_px)
    ticks = ((np.arange(size_px) + 0.5) / size_px - 0.5) * 3
    middle = size_px // 2
    on_disc = np.abs(ticks) < 1
    # along the equator x lies at longitude asin x, along the meridian y at latitude asin y
    np.testing.assert_allclose(ground.lon[0, middle][on_disc], np.arcsin(ticks[on_disc]), atol=1e-5)
    np.testing.assert_allclose(ground.lat[0, :, middle][on_disc], -np.arcsin(ticks[on_disc]), atol=1e-5)
    # the vertical and the direction of the camera are as far apart as the place and the centre: cos asin r = √(1 − r²)
    r2 = ticks[:, None] ** 2 + ticks[None] ** 2
    inside = r2 < 1
    np.testing.assert_allclose(ground.slant[0][inside], np.sqrt(1 - r2[inside]), atol=1e-5)
    # beside the Earth, rays pass at r − 1, and nothing is height 0
    assert not ground.height[0][inside].any()
    np.testing.assert_allclose(ground.height[0][~inside], np.sqrt(r2[~inside]) - 1, rtol=1e-4)


@pytest.mark.parametrize("center", PLACES)
@pytest.mark.parametrize("camera", [(0, 0, 0.0), (50, 120, 0.0), (30, -60, 2.0), (60, 200, 8.0)])
def test_the_centre_is_in_the_middle_seen_at_the_tilt(center: tuple[float, float], camera: tuple) -> None:
    tilt, toward, nearness = camera
    ground = seen(center, width=0.1, size_px=3, tilt_deg=tilt, toward_deg=toward, nearness=nearness, rotation_deg=40)
    assert great_circle_km(center, places(ground)[1, 1]) < 0.01
    assert ground.slant[0, 1, 1] == pytest.approx(math.cos(math.radians(tilt)), abs=1e-5)
    assert ground.height[0, 1, 1] == 0


@pytest.mark.parametrize("center", PLACES)
@pytest.mark.parametrize("rotation_deg", [0, 65, -140])
def test_narrow_views_from_above_are_equidistant_maps(center: tuple[float, float], rotation_deg: float) -> None:
    # of 64 km, the arc and its sine differ by 32 km · (32 / 6371)² / 6, or 0.1 m; float32 tells 0.5 m of a radian
    lat, lon = (torch.tensor([math.radians(x)]) for x in center)
    turned = torch.tensor([math.radians(rotation_deg)])
    expected = equidistant_ground(lat, lon, torch.tensor([64.0]), turned, size_px=8)
    ground = seen(center, width=64 / EARTH_RADIUS_KM, size_px=8, rotation_deg=rotation_deg)
    assert great_circle_km(places(ground), places(expected)).max() < 0.02


def test_a_tilt_foreshortens_by_its_cosine() -> None:
    # seen from the south at 60°, a narrow view's height on the ground is twice its width
    width = 20 / EARTH_RADIUS_KM
    ground = seen(width=width, size_px=40, tilt_deg=60, toward_deg=180)
    shown = places(ground)
    across = great_circle_km(shown[20, 0], shown[20, 39])
    along = great_circle_km(shown[0, 20], shown[39, 20])
    assert along / across == pytest.approx(2, rel=2e-3)
    assert across == pytest.approx(20 * 39 / 40, rel=2e-3)
    assert shown[0, 20, 0] > shown[39, 20, 0]  # north is still up


def test_from_far_away_and_aslant_the_limb_is_where_the_ground_falls_away() -> None:
    # along the picture's vertical axis the sphere ends 1 − sin(tilt) above the centre and 1 + sin(tilt) below
    tilt, size_px = 40.0, 801
    ground = seen(width=4.0, size_px=size_px, tilt_deg=tilt, toward_deg=180)
    y = (0.5 - (np.arange(size_px) + 0.5) / size_px) * 4
    on_earth = y[ground.height[0, :, size_px // 2].numpy() == 0]
    assert on_earth.max() == pytest.approx(1 - math.sin(math.radians(tilt)), abs=4 / size_px)
    assert on_earth.min() == pytest.approx(-1 - math.sin(math.radians(tilt)), abs=4 / size_px)


@pytest.mark.parametrize("nearness", [0.2, 1.0, 4.0])
def test_from_near_the_limb_is_where_the_horizon_is(nearness: float) -> None:
    # from height h = 1 / nearness the horizon is acos(1 / (1 + h)) away, measured at the Earth's centre
    h = 1 / nearness
    horizon = math.acos(1 / (1 + h))
    size_px = 1001
    width = 2.2 * h * math.tan(math.pi / 2 - horizon)
    ground = seen(width=width, size_px=size_px, nearness=nearness)
    row = size_px // 2
    on_earth = np.flatnonzero(ground.height[0, row].numpy() == 0)
    assert (len(on_earth) / size_px) * width == pytest.approx(2 * h * math.tan(math.pi / 2 - horizon), rel=5e-3)
    assert ground.lon[0, row, on_earth[-1]].item() == pytest.approx(horizon, rel=0.1)
    assert ground.lon[0, row].abs().max() <= horizon + 1e-3


@pytest.mark.parametrize("center", PLACES)
@pytest.mark.parametrize(
    "options",
    [
        {"width": 0.5, "tilt_deg": 0, "toward_deg": 0, "nearness": 1.5},
        {"width": 0.9, "tilt_deg": 55, "toward_deg": 130, "nearness": 0.9, "rotation_deg": -20},
        {"width": 0.06, "tilt_deg": 60, "toward_deg": 200, "nearness": 20.0, "rotation_deg": 20},
        {"width": 0.2, "tilt_deg": 80, "toward_deg": -45, "nearness": 12.0},  # a very wide angle: sky behind
    ],
)
def test_every_pixel_shows_what_a_ray_tracer_finds(center: tuple[float, float], options: dict) -> None:
    ground = seen(center, size_px=24, **options)
    expected, camera = traced(center, size_px=24, **options)
    hit = ~np.isnan(expected[..., 0])
    # at the limb float32 may take one side or the other
    disagreeing = hit != (ground.height[0].numpy() == 0)
    assert disagreeing.mean() < 0.01
    both = hit & ~disagreeing
    grazing = ground.slant[0].numpy() < 0.05
    apart_km = great_circle_km(places(ground), degrees(np.where(hit[..., None], expected, [1.0, 0.0, 0.0])))
    assert apart_km[both & ~grazing].max() < 0.05
    line = camera - expected
    slant = (expected * line).sum(-1) / np.linalg.norm(line, axis=-1)
    np.testing.assert_allclose(ground.slant[0].numpy()[both], slant[both], atol=2e-3)
    assert (ground.height[0].numpy()[~hit & ~disagreeing] > 0).all()


@pytest.mark.parametrize("center", PLACES[:4])
def test_the_place_below_a_camera_is_seen_from_straight_above(center: tuple[float, float]) -> None:
    tilt, toward, h = math.radians(35), 70, 0.4
    # the law of cosines: the camera's distance from the Earth's middle, and the angle there; geopy goes as far
    distance = math.sqrt(1 + h * h + 2 * h * math.cos(tilt))
    angle = math.asin(h * math.sin(tilt) / distance)
    below = great_circle(kilometers=angle * GEOPY_RADIUS_KM).destination(center, toward)
    ground = seen(center, width=0.9, size_px=201, tilt_deg=35, toward_deg=toward, nearness=1 / h, rotation_deg=toward)
    row, column = divmod(int(ground.slant[0].argmax()), 201)
    assert ground.slant[0, row, column] > 0.9999
    assert column in (99, 100, 101)
    assert great_circle_km((below.latitude, below.longitude), places(ground)[row, column]) < 40  # a pixel is 28 km


def test_ground_behind_a_camera_is_not_visible() -> None:
    # 100 km up, looking at a place ahead: the uppermost rays rise above the horizon, and backwards meet the ground
    options = {"width": 0.2, "tilt_deg": 80, "toward_deg": 180, "nearness": 12.0}
    ground = seen(size_px=65, **options)
    middle = ground.height[0, :, 32]
    _, camera = traced((0.0, 0.0), size_px=1, **options)
    assert middle[0] > 0
    assert middle[-1] == 0
    # once the sky begins it goes on to the picture's upper edge
    sky = (middle > 0).numpy()
    assert sky[: sky.sum()].all()
    # a ray that rises passes nearest at the camera itself
    assert middle[0].item() == pytest.approx(np.linalg.norm(camera) - 1, rel=1e-3)


def test_a_far_camera_sees_what_one_infinitely_far_away_sees() -> None:
    options = {"width": 0.6, "size_px": 16, "tilt_deg": 35, "toward_deg": 70, "rotation_deg": 25}
    near, far = seen((48.0, 11.0), nearness=1e-6, **options), seen((48.0, 11.0), nearness=0.0, **options)
    assert great_circle_km(places(near), places(far)).max() < 0.05
    nearer = seen((48.0, 11.0), nearness=0.5, **options)
    assert great_circle_km(places(nearer), places(far)).max() > 50


@pytest.mark.parametrize("center", [*PLACES[:3], (-17.0, 179.95)])
@pytest.mark.parametrize("bearing", [0, 90, 155])
def test_the_rotation_points_up_whatever_the_tilt(center: tuple[float, float], bearing: float) -> None:
    ground = seen(center, width=0.02, size_px=41, tilt_deg=50, toward_deg=20, nearness=10.0, rotation_deg=bearing)
    above = great_circle(kilometers=20).destination(center, bearing)
    apart = great_circle_km((above.latitude, above.longitude), places(ground))
    row, column = np.unravel_index(apart.argmin(), apart.shape)
    assert column == 20
    assert row < 20
    assert apart.min() < 4  # a pixel is 3 km wide, and 5 km along the tilt


def test_views_are_traced_each_by_its_own_camera() -> None:
    points = ViewPoints(
        torch.tensor([(48.0, 11.0), (-10.0, 179.0), (70.0, -20.0)], dtype=torch.float64),
        torch.tensor([500.0, 2000.0, 900.0]),
        torch.tensor([0.0, 40.0, -90.0]),
        torch.zeros(3, dtype=torch.int64),
        Camera(torch.tensor([0.0, 45.0, 60.0]), torch.tensor([0.0, 10.0, 190.0]), torch.tensor([0.0, 1.0, 6.0])),
    )
    together = ground_seen(points, 12, torch.device("cpu"))
    for i in range(3):
        alone = ground_seen(points[i : i + 1], 12, torch.device("cpu"))
        for name in ("lat", "lon", "slant", "height"):
            torch.testing.assert_close(getattr(together, name)[i], getattr(alone, name)[0])
    picked = points[torch.tensor([2, 0])]
    assert picked.camera is not None
    assert picked.camera.tilt_deg.tolist() == [60, 0]
    assert picked.footprint_km.tolist() == [900, 500]


def test_the_ground_is_on_the_requested_device() -> None:
    camera = Camera(torch.zeros(1), torch.zeros(1), torch.zeros(1))
    for one in (None, camera):
        points = ViewPoints(
            torch.zeros(1, 2, dtype=torch.float64), torch.ones(1), torch.zeros(1), torch.zeros(1).long(), one
        )
        assert ground_seen(points, 4, torch.device("meta")).lat.device.type == "meta"


def numbered(n: int, first: float) -> Ground:
    return Ground(*(torch.arange(n * 4.0).view(n, 2, 2) + first + 1000 * part for part in range(4)))


def test_rows_are_taken_and_put_back() -> None:
    ground, other = numbered(5, 0.0), numbered(2, 500.0)
    rows = torch.tensor([3, 0])
    put = ground.scatter(rows, other)
    for part in ("lat", "lon", "slant", "height"):
        before, after, new = (getattr(x, part) for x in (ground, put, other))
        assert torch.equal(after[[1, 2, 4]], before[[1, 2, 4]])
        assert torch.equal(after[3], new[0])
        assert torch.equal(after[0], new[1])
        assert torch.equal(getattr(put[rows], part), new)
    assert torch.equal(ground.lat, numbered(5, 0.0).lat)  # the first has not changed
