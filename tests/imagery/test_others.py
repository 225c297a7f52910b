"""Pictures that are not views: generated ones, and those from a folder."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.imagery.others import GENERATED, KEPT_PX, WIDEST, load_others, other_files, sample_others
from tests.imagery.scenes import generator, made_markings

MARKINGS = made_markings()


@pytest.mark.parametrize("size_px", [32, 50])
@pytest.mark.parametrize("kind", GENERATED)
def test_every_kind_gives_pictures_no_two_alike(kind: str, size_px: int) -> None:
    make = GENERATED[kind]
    pictures = make(12, size_px, MARKINGS, generator(1))
    assert pictures.shape == (12, 3, size_px, size_px)
    assert pictures.dtype == torch.float32
    assert torch.isfinite(pictures).all()
    assert -1e-6 <= pictures.min() <= pictures.max() <= 1 + 1e-6
    assert torch.equal(pictures, make(12, size_px, MARKINGS, generator(1)))
    assert len(torch.unique(pictures.flatten(1), dim=0)) == 12
    flat = pictures.std(dim=(2, 3)).amax(dim=1)
    assert (flat.max() < 1e-6) == (kind == "flat")


def test_gradients_are_smooth_and_grain_is_not() -> None:
    def roughness(kind: str) -> float:
        pictures = GENERATED[kind](40, 64, MARKINGS, generator())
        return float(pictures.diff(dim=3).abs().mean() / pictures.std(dim=(2, 3)).mean().clamp_min(1e-6))

    assert roughness("gradient") < 0.1 < roughness("smooth noise") < roughness("grain")
    # independent grains differ by 2 / √π of their deviation on average
    assert roughness("grain") == pytest.approx(2 / np.pi**0.5, abs=0.15)


def write(file: Path, width: int, height: int, shade: int = 90) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (shade, 0, 0)).save(file)
    return file


def test_files_of_a_folder_and_its_folders_by_name(tmp_path: Path) -> None:
    for name in ("b.png", "a/z.JPG", "c.webp"):
        write(tmp_path / name, 8, 8)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    assert [file.name for file in other_files(tmp_path)] == ["z.JPG", "b.png", "c.webp"]
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(DataError, match="expected pictures that are no views of Earth from above, found none"):
            other_files(folder)


@pytest.mark.parametrize(
    ("width", "height", "kept"),
    [
        (400, 300, (213, 160)),
        (300, 400, (160, 213)),
        (1000, 100, (320, 160)),  # longer than 2 : 1: cut
        (100, 1000, (160, 320)),
        (20, 20, (160, 160)),  # enlarged
        (1, 7, (160, 320)),
    ],
)
def test_pictures_are_kept_small_and_no_longer_than_twice_their_width(
    tmp_path: Path, width: int, height: int, kept: tuple[int, int]
) -> None:
    (picture,) = load_others([write(tmp_path / "a.png", width, height)])
    assert picture.dtype == torch.uint8
    assert tuple(picture.shape) == (3, kept[1], kept[0])
    assert min(picture.shape[1:]) == KEPT_PX
    assert max(picture.shape[1:]) <= WIDEST * KEPT_PX
    assert picture.is_contiguous()
    assert (picture[0] == 90).all()
    assert not picture[1:].any()


def test_long_pictures_are_cropped_around_their_centre(tmp_path: Path) -> None:
    pixels = np.zeros((100, 500, 3), np.uint8)
    pixels[:, 160:340] = 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    (picture,) = load_others([tmp_path / "wide.png"])
    # 200 px are kept, from 150 to 350, enlarged 1.6 times: ten dark ones on each side become 16
    assert picture.shape == (3, 160, 320)
    assert picture[:, :, 22:298].min() > 250
    assert picture[:, :, :10].max() < 5
    assert picture[:, :, -10:].max() < 5


def test_damaged_pictures_are_left_out(tmp_path: Path) -> None:
    good = write(tmp_path / "good.png", 30, 30)
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8\xff\xe0 cut short")
    assert len(load_others([bad, good, tmp_path / "gone.png"])) == 1
    assert load_others([]) == []
    with pytest.raises(DataError, match="could read none of 2 files"):
        load_others([bad, tmp_path / "gone.png"])


def test_six_in_ten_are_pieces_of_pictures() -> None:
    # of a red picture every piece is red, which no generated one is all over
    red = torch.zeros(3, 40, 60, dtype=torch.uint8)
    red[0] = 255
    drawn = sample_others(500, 16, [red], MARKINGS, generator())
    assert drawn.shape == (500, 3, 16, 16)
    pure = ((drawn[:, 0] > 0.999) & (drawn[:, 1:].amax(dim=1) < 1e-3)).flatten(1).all(dim=1)
    assert pure.float().mean() == pytest.approx(0.6, abs=0.07)
    assert -1e-5 <= drawn.min() <= drawn.max() <= 1 + 1e-5
    assert torch.equal(drawn, sample_others(500, 16, [red], MARKINGS, generator()))
    without = sample_others(100, 16, [], MARKINGS, generator())
    assert len(without) == 100
    assert sample_others(0, 16, [], MARKINGS, generator()).shape == (0, 3, 16, 16)


def test_pieces_lie_anywhere_in_a_picture_half_of_them_mirrored() -> None:
    ramp = torch.zeros(3, 100, 200, dtype=torch.uint8)
    ramp[0] = torch.arange(200, dtype=torch.uint8)  # encodes the column
    drawn = sample_others(1000, 8, [ramp], MARKINGS, generator())
    pieces = drawn[(drawn[:, 1:].amax(dim=(1, 2, 3)) < 1e-3)]  # those without green and blue
    rising = pieces[:, 0, 4, -1] > pieces[:, 0, 4, 0]
    assert rising.float().mean() == pytest.approx(0.5, abs=0.08)
    span = (pieces[:, 0, 4, -1] - pieces[:, 0, 4, 0]).abs() * 255 * 8 / 7
    assert 38 < span.min() < 45  # 40 to 100 of its 100 rows, as many columns
    assert 92 < span.max() < 101
    left = pieces[:, 0].amin(dim=(1, 2)) * 255
    assert left.min() < 10
    assert left.max() > 120
