"""Views under conditions match their descriptions, in batches of any size."""

import dataclasses

import numpy as np
import pytest
import torch

from geoexplain.errors import DataError
from geoexplain.geography.sphere import degrees, great_circle_km, unit_vectors
from geoexplain.imagery.conditions import BLOCK, CONDITIONS, Condition, ViewSet, views_under
from geoexplain.imagery.earth import Imagery
from geoexplain.imagery.effects import EFFECTS, Surroundings
from geoexplain.imagery.views import render, sample_view_points
from tests.imagery.earths import grid_deg
from tests.imagery.scenes import made_surroundings

WIDTH_KM = (500.0, 2000.0)
AROUND = made_surroundings()


@pytest.fixture(scope="module")
def positions() -> Imagery:
    """Return two images whose texels encode the unit vectors of their positions, so that views show where they are."""
    vectors = torch.from_numpy(unit_vectors(grid_deg(360))).reshape(-1, 3)
    texels = torch.cat([(vectors + 1) / 2 * 255, torch.zeros(len(vectors), 1)], dim=1).float()
    return Imagery(texels.repeat(2, 1), torch.tensor([0]), torch.tensor([360]), ("one", "other"))


def asked(
    positions: Imagery, condition: str | Condition, views: int = 40, seed: int = 3, around: Surroundings | None = AROUND
) -> ViewSet:
    chosen = CONDITIONS[condition] if isinstance(condition, str) else condition
    return views_under(
        chosen, positions, views=views, seed=seed, footprint_km=WIDTH_KM, rotation_deg=30.0, around=around
    )


def places(rgb: torch.Tensor) -> np.ndarray:
    """Decode the positions (N, S, S, 2) in degrees that views of `positions` show."""
    return degrees(rgb.permute(0, 2, 3, 1).double().numpy() * 2 - 1)


def without_effects(name: str) -> Condition:
    """Return imagery of the same geometry in natural colours."""
    return dataclasses.replace(CONDITIONS[name], effects=(), cover=None)


def test_the_description_of_views_matches_what_is_drawn() -> None:
    said = {name: CONDITIONS[name].sampling((500, 2000), 30) for name in ("plain", "width-4000", "turned", "mixture")}
    assert said == {
        "plain": "footprint 500–2,000 km, rotation ±30°",
        "width-4000": "footprint 4,000–4,000 km, rotation ±30°",
        "turned": "footprint 500–2,000 km, rotation 45 to 180° to either side",
        "mixture": "as wide, turned and aslant as training draws them",
    }


@pytest.mark.parametrize("name", CONDITIONS)
def test_every_condition_gives_pictures_the_same_for_a_seed(positions: Imagery, name: str) -> None:
    views = asked(positions, name, views=6)
    rgb = views.render(0, 6, 48)
    assert rgb.shape == (6, 3, 48, 48)
    assert 0 <= rgb.min() <= rgb.max() <= 1
    assert (len(views), views.name, views.truth_deg.shape) == (6, "one, other", (6, 2))
    again, other = asked(positions, name, views=6), asked(positions, name, views=6, seed=4)
    assert torch.equal(rgb, again.render(0, 6, 48))
    assert torch.equal(views.truth_deg, again.truth_deg)
    assert not torch.equal(views.truth_deg, other.truth_deg)
    assert not torch.equal(rgb, other.render(0, 6, 48))


@pytest.mark.parametrize("name", ["plain", "mixture", "clouds", "colours", "oblique"])
def test_a_view_does_not_depend_on_how_many_are_rendered_at_once(positions: Imagery, name: str) -> None:
    views = asked(positions, name, views=2 * BLOCK + 5)
    whole = views.render(0, 2 * BLOCK + 5, 16)
    for start, stop in ((0, BLOCK), (BLOCK, 2 * BLOCK + 5), (0, 3), (BLOCK, 2 * BLOCK - 1), (2 * BLOCK, 2 * BLOCK + 2)):
        torch.testing.assert_close(views.render(start, stop, 16), whole[start:stop])


def test_plain_views_are_those_of_sample_view_points(positions: Imagery) -> None:
    views = asked(positions, "plain", views=BLOCK + 3, around=None)
    points = sample_view_points(
        BLOCK + 3, 2, torch.Generator().manual_seed(3), footprint_km=WIDTH_KM, rotation_deg=30.0
    )
    assert torch.equal(views.truth_deg, points.centers_deg)
    torch.testing.assert_close(views.render(0, BLOCK + 3, 16), render(positions, points, 16)[:, :3])


@pytest.mark.parametrize("name", [name for name in CONDITIONS if name != "mixture"])
def test_every_view_is_centred_on_its_truth(positions: Imagery, name: str) -> None:
    shown = places(asked(positions, without_effects(name)).render(0, 40, 9))
    truth = asked(positions, name).truth_deg.numpy()
    away_from_poles = np.abs(truth[:, 0]) < 80  # where texels of half a degree tell a place
    assert great_circle_km(truth, shown[:, 4, 4])[away_from_poles].max() < 3


@pytest.mark.parametrize(
    ("name", "low", "high"), [("width-300", 300, 300), ("width-6000", 6000, 6000), ("plain", *WIDTH_KM)]
)
def test_views_have_the_requested_width(positions: Imagery, name: str, low: float, high: float) -> None:
    shown = places(asked(positions, without_effects(name)).render(0, 40, 9))
    # from the middle of the picture to that of the last pixel are 4 of its 9 pixels
    width_km = great_circle_km(shown[:, 4, 4], shown[:, 4, 8]) * 9 / 4
    assert low * 0.97 < np.quantile(width_km, 0.05)
    assert np.quantile(width_km, 0.95) < high * 1.03
    if low < high:
        assert width_km.std() > 200


def turned_deg(shown: np.ndarray) -> np.ndarray:
    """Return the bearing (N,) from the middle pixel of views (N, 9, 9, 2) to the pixel above it."""
    lat_0, lon_0, lat, lon = (np.radians(x) for x in (*shown[:, 4, 4].T, *shown[:, 3, 4].T))
    d_lon = lon - lon_0
    x = np.sin(d_lon) * np.cos(lat)
    y = np.cos(lat_0) * np.sin(lat) - np.sin(lat_0) * np.cos(lat) * np.cos(d_lon)
    return np.degrees(np.arctan2(x, y))


def test_turned_views_are_off_the_top_to_either_side(positions: Imagery) -> None:
    low, high = CONDITIONS["turned"].rotation_deg or (0, 0)
    views = asked(positions, without_effects("turned"), views=120)
    turn = turned_deg(places(views.render(0, 120, 9)))
    turn = turn[np.abs(views.truth_deg[:, 0].numpy()) < 75]
    assert low - 3 < np.abs(turn).min() < low + 10
    assert high - 10 < np.abs(turn).max()
    assert 0.35 < (turn > 0).mean() < 0.65
    plain = turned_deg(places(asked(positions, "plain").render(0, 40, 9)))
    assert np.abs(plain[np.abs(asked(positions, "plain").truth_deg[:, 0].numpy()) < 75]).max() < 33


def test_oblique_views_are_foreshortened_by_their_tilt(positions: Imagery) -> None:
    low, high = CONDITIONS["oblique"].tilt_deg or (0, 0)
    views = asked(positions, without_effects("oblique"), views=100)
    points = sample_view_points(100, 2, torch.Generator().manual_seed(3), footprint_km=WIDTH_KM, rotation_deg=30.0)
    size = 65
    shown = unit_vectors(places(views.render(0, 100, size)))
    middle = size // 2
    right = shown[:, middle, middle + 1] - shown[:, middle, middle - 1]
    down = shown[:, middle + 1, middle] - shown[:, middle - 1, middle]
    # a square of the picture is a parallelogram on the ground, larger by 1 / cos tilt
    area = np.linalg.norm(np.cross(right, down), axis=1) / 4
    pixel = (points.footprint_km.numpy() / size / 6371) ** 2
    tilt = np.degrees(np.arccos(np.clip(pixel / area, 0, 1)))
    tilt = tilt[np.abs(views.truth_deg[:, 0].numpy()) < 75]
    assert low - 2 < tilt.min() < low + 5
    assert high - 5 < tilt.max() < high + 2


def test_beside_the_earth_oblique_views_are_dark(positions: Imagery) -> None:
    # 2,000 km wide at 60° the limb is 853 km from the middle
    wide = dataclasses.replace(CONDITIONS["oblique"], footprint_km=(2000.0, 2000.0), tilt_deg=(60.0, 60.0))
    rgb = asked(positions, wide, views=60).render(0, 60, 64)
    smeared = asked(positions, dataclasses.replace(wide, effects=()), views=60).render(0, 60, 64)
    dark = (rgb != smeared).any(dim=1).flatten(1).float().mean(dim=1)
    assert (dark > 0).float().mean() > 0.5
    assert dark.max() < 0.2
    changed = (rgb != smeared).any(dim=1)
    assert rgb.amin(dim=1)[changed].min() < 0.05


@pytest.mark.parametrize("name", [name for name, condition in CONDITIONS.items() if condition.cover])
def test_clouds_cover_the_requested_share(name: str) -> None:
    # over black ground clouds of the brightness b and the opacity a give b a, and b is 0.7 to 1, a fifth darker at most
    texels = torch.zeros(2 * 64 * 64, 4, dtype=torch.uint8)
    black = Imagery(texels, torch.tensor([0]), torch.tensor([64]), ("black",))
    low, high = CONDITIONS[name].cover or (0, 0)
    mean = asked(black, name, views=200).render(0, 200, 32).mean(dim=(1, 2, 3))
    assert low * 0.7 * 0.8 <= mean.min()
    assert mean.max() <= high
    assert mean.std() > 0.03


def test_clouds_that_cannot_reach_the_share_cover_what_they_can() -> None:
    clouds = AROUND.clouds
    assert clouds is not None
    clear = dataclasses.replace(clouds, texels=torch.zeros_like(clouds.texels))
    texels = torch.zeros(2 * 64 * 64, 4, dtype=torch.uint8)
    black = Imagery(texels, torch.tensor([0]), torch.tensor([64]), ("black",))
    rgb = asked(black, "overcast", views=3, around=Surroundings(clear, AROUND.markings)).render(0, 3, 16)
    assert rgb.mean() < 0.2


def test_conditions_do_what_their_names_say(positions: Imagery) -> None:
    grey = asked(positions, "grey").render(0, 8, 32)
    assert torch.equal(grey[:, :1].expand_as(grey), grey)
    plain = asked(positions, "plain").render(0, 8, 32)
    for name, condition in CONDITIONS.items():
        assert set(condition.effects) <= set(EFFECTS)
        assert condition.title
        if condition.effects and name != "oblique":
            assert (asked(positions, name).render(0, 8, 32) != plain).flatten(1).any(dim=1).all()
    marked = asked(positions, "marked").render(0, 8, 32)
    assert (marked == plain).all(dim=1).float().mean() > 0.2  # between the lines the ground is as it was


def test_the_largest_seed_is_one_too(positions: Imagery) -> None:
    seed = 2**63 - 1
    first, other = (asked(positions, "haze", views=2, seed=s).render(0, 2, 8) for s in (seed, seed - 1))
    assert not torch.equal(first, other)


def test_missing_surroundings_are_named_in_the_error(positions: Imagery) -> None:
    bare = made_surroundings(clouds=False)
    for name, condition in CONDITIONS.items():
        if condition.needs_clouds:
            with pytest.raises(DataError, match="expected a map of clouds, got none: name one with --clouds"):
                asked(positions, name, around=bare)
        elif condition.effects:
            asked(positions, name, around=bare, views=1).render(0, 1, 8)
        if condition.needs_surroundings:
            with pytest.raises(DataError, match="expected surroundings"):
                asked(positions, name, around=None)
        else:
            asked(positions, name, around=None, views=1).render(0, 1, 8)


@pytest.mark.parametrize("views", [0, -1])
def test_less_than_one_view_is_refused(positions: Imagery, views: int) -> None:
    for name in ("plain", "mixture"):
        with pytest.raises(DataError, match="expected at least 1 view"):
            asked(positions, name, views=views)
