"""Positions and colours of the borders, graticules and names over views."""

import numpy as np
import pytest
import torch

from geoexplain.geography.gazetteer import load_gazetteer
from geoexplain.geography.sphere import EARTH_RADIUS_KM, unit_vectors
from geoexplain.imagery.markings import (
    SPACINGS_DEG,
    Markings,
    draw_borders,
    draw_graticule,
    load_markings,
    name_ink,
    write_names,
)
from geoexplain.imagery.scene import Scene
from geoexplain.imagery.views import ViewPoints, ground_seen
from tests.imagery.scenes import flat_ground, generator, made_markings, scene_of


@pytest.fixture(scope="module")
def markings() -> Markings:
    return load_markings(height=900)


def grey_view(lat: float, lon: float, footprint_km: float, size_px: int = 96) -> Scene:
    """Return a grey view of one place; no ink has this colour."""
    points = ViewPoints(
        torch.tensor([(lat, lon)], dtype=torch.float64),
        torch.tensor([footprint_km]),
        torch.zeros(1),
        torch.zeros(1).long(),
    )
    ground = ground_seen(points, size_px, torch.device("cpu"))
    rgb = torch.full((1, 3, size_px, size_px), 0.5)
    return Scene(rgb, torch.zeros(1, 1, size_px, size_px), ground, points.footprint_km)


def inked(scene: Scene, drawn: torch.Tensor) -> np.ndarray:
    """Return a mask of the ink, bool (S, S)."""
    return ((drawn - scene.rgb).abs().amax(dim=1)[0] > 1e-4).numpy()


@pytest.mark.parametrize(
    ("place", "footprint_km"),
    [((46.5, 8.0), 900.0), ((-29.5, 28.5), 700.0), ((66.0, 180.0), 1500.0), ((-17.0, 178.5), 900.0)],
    ids=["alps", "lesotho", "chukotka, cut by the antimeridian", "fiji"],
)
def test_borders_are_where_borders_are(markings: Markings, place: tuple[float, float], footprint_km: float) -> None:
    scene = grey_view(*place, footprint_km)
    ink = inked(scene, draw_borders(scene, markings, generator()))
    places = np.degrees(torch.stack([scene.ground.lat[0], scene.ground.lon[0]], dim=-1).double().numpy())
    chord, _ = load_gazetteer().coast.query(unit_vectors(places))  # points at most 11 km apart along every border
    away_km = chord * EARTH_RADIUS_KM
    # a line is two texels of 22 km wide, and bilinear: nothing beyond 3 texels, everything within half of one
    assert ink[away_km < 10].mean() > 0.99
    assert not ink[away_km > 3 * 22.3].any()
    assert 0.05 < ink.mean() < 0.9


def test_a_border_is_drawn_in_one_colour_each() -> None:
    scene = scene_of(torch.full((200, 3, 32, 32), 0.5))  # around 0° 0°, where the made border runs
    drawn = draw_borders(scene, made_markings(), generator())
    assert torch.equal(drawn[:, :, :2], scene.rgb[:, :, :2])
    line = drawn[:, :, 15:17].mean(dim=(2, 3))
    assert (line - 0.5).abs().amax(dim=1).min() > 0.01
    colourless = (line.amax(dim=1) - line.amin(dim=1) < 1e-5).float().mean()
    assert colourless == pytest.approx(0.6, abs=0.1)  # black or white ink


@pytest.mark.parametrize("place", [(0.5, 0.3), (47.0, 179.5), (-70.0, 30.0)])
@pytest.mark.parametrize("footprint_km", [400.0, 1500.0, 5000.0])
def test_graticules_are_lines_of_round_degrees(place: tuple[float, float], footprint_km: float) -> None:
    scene = grey_view(*place, footprint_km, size_px=128)
    ink = inked(scene, draw_graticule(scene, generator()))
    lat, lon = (np.degrees(x[0].double().numpy()) for x in (scene.ground.lat, scene.ground.lon))
    pixel_deg = np.degrees(footprint_km / EARTH_RADIUS_KM) / 128

    def lines(spacing: float) -> np.ndarray:
        """Return a mask of the pixels within 1.2 pixels of a line, computed in float64."""
        off_lat = np.abs(lat - spacing * np.round(lat / spacing))
        off_lon = np.abs(lon - spacing * np.round(lon / spacing)) * np.cos(np.radians(lat))
        return np.minimum(off_lat, off_lon) / pixel_deg < 1.2

    differing = {spacing: (ink != lines(spacing)).mean() for spacing in SPACINGS_DEG}
    best = min(differing, key=lambda spacing: differing[spacing])
    assert differing[best] < 0.01
    assert all(share > 0.02 for spacing, share in differing.items() if spacing != best)
    # between 1.5 and 7.5 lines across, as near as the round numbers allow: they are up to √2.5 apart
    across = np.degrees(footprint_km / EARTH_RADIUS_KM) / best
    assert 1.5 / 1.6 < across < 7.5 * 1.6 or best in (SPACINGS_DEG[0], SPACINGS_DEG[-1])


def test_spacings_divide_the_circle() -> None:
    assert all(360 % spacing == 0 for spacing in SPACINGS_DEG)


def test_ink_is_a_piece_of_a_sheet() -> None:
    ink = name_ink(300, 20, made_markings(), generator())
    assert ink.shape == (300, 1, 20, 20)
    assert 0 <= ink.min() <= ink.max() <= 1
    # of the one sheet ink ends at a column, of the other at a row
    columns = (ink - ink[:, :, :1]).abs().amax(dim=(1, 2, 3)) < 1e-5
    rows = (ink - ink[..., :1]).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert (columns | rows).all()
    assert (columns & ~rows).float().mean() > 0.2
    assert (rows & ~columns).float().mean() > 0.2
    assert torch.equal(ink, name_ink(300, 20, made_markings(), generator()))


def test_names_are_written_over_views_in_places(markings: Markings) -> None:
    scene = scene_of(torch.full((60, 3, 64, 64), 0.5), ground=flat_ground(60, 64))
    named = write_names(scene, markings, generator())
    touched = (named != scene.rgb).any(dim=1).float().mean(dim=(1, 2))
    assert (touched > 0).float().mean() > 0.8
    assert touched.mean() < 0.5  # the picture is still to be seen
    assert 0 <= named.min() <= named.max() <= 1


def test_markings_are_made_once_and_are_the_same() -> None:
    first, again = load_markings(height=900), load_markings(height=900)
    assert first.sheets is again.sheets
    assert torch.equal(first.borders.texels, again.borders.texels)
    assert first.sheets.float().mean() > 5  # they are written on
    assert len(torch.unique(first.sheets.flatten(1), dim=0)) == len(first.sheets)
