"""What lies under an explanation, as the browser gets it; and what a stranger may send as a mask."""

import base64
import io
import os
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from gradio.data_classes import ImageData
from gradio.utils import get_upload_folder
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.explainer.cams import ExplanationCancelledError
from geoexplain.explainer.explanation import explain
from geoexplain.explainer.segmenters import LandCover
from geoexplain.explainer.table import TUNED, network_kinds
from geoexplain.geography.footprint import Footprint
from geoexplain.images import open_image
from geoexplain.locator.model import GeoModel
from geoexplain.studio.examples import examples
from geoexplain.studio.guards import GuardedImage
from geoexplain.studio.models import Loaded
from geoexplain.studio.panels.concepts import SEGFORMER_VARIABLE, answer, frame, parts
from geoexplain.studio.panels.faithfulness import AS_SET
from geoexplain.studio.panels.panel import Question
from geoexplain.view.influence import bar_length
from geoexplain.words import percent
from tests.explainer.segformers import save_segformer
from tests.studio.test_markup import Elements

LEGEND = "color,name\n#ff0000,west\n#0000ff,<b>east\n#000000,\n#00ff00,nowhere"
AS_PUBLISHED = {"method": "grad-cam", "level": "block", "how": "sum", "weights": [1] * 16}
ASKED = {"method": AS_SET, "combi": AS_PUBLISHED, "segmenter": "mask", "width": None, "k": 100, "share": 5, "dilate": 0}


def painting(width: int = 80, height: int = 96) -> Image.Image:
    """West is the left half, east the right quarter."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[:, : width // 2, 0] = pixels[:, 3 * width // 4 :, 2] = 255
    return Image.fromarray(pixels)


def ask(
    model: GeoModel,
    image: Image.Image,
    asked: dict[str, Any],
    *,
    mask: Any = None,
    legend: Any = LEGEND,
    cell: int = 4,
    cancelled: bool = False,
) -> tuple[dict[str, Any], list[tuple[int, int]]]:
    heard: list[tuple[int, int]] = []
    question = Question(Loaded(model), image, cell, ASKED | asked, (mask, legend))
    return answer(question, lambda *step: heard.append(step), lambda: cancelled), heard


def mask_of(bits: str, size: list[int]) -> np.ndarray:
    """Bits to a mask, by hand: the first pixel is the highest bit."""
    text = "".join(f"{byte:08b}" for byte in base64.b64decode(bits))
    return np.array([letter == "1" for letter in text[: size[0] * size[1]]]).reshape(size)


def test_a_painted_mask_is_worked_out_from_the_strongest_pixels(model: GeoModel, image: Image.Image) -> None:
    found, heard = ask(model, image, {}, mask=painting())
    assert heard == []
    height, width = found["size"]
    assert (height, width) == (76, 64)
    heatmap = explain(image, model, target=4).combi_cam().values
    order = np.argsort(-heatmap.ravel(), kind="stable")[:100]
    top = np.zeros(heatmap.size, dtype=bool)
    top[order] = True
    np.testing.assert_array_equal(mask_of(found["top"], found["size"]), top.reshape(height, width))
    west, east, nowhere = found["rows"]
    columns = np.broadcast_to(np.arange(width), (height, width))
    np.testing.assert_array_equal(mask_of(west["mask"], found["size"]), columns < 32)
    np.testing.assert_array_equal(mask_of(east["mask"], found["size"]), columns >= 48)
    tki = (order % width < 32).mean()
    assert (west["concept"], west["share"], west["tki"]) == ("west", "50.0 %", percent(tki))
    assert west["ci"] == pytest.approx(2 * tki)
    assert type(west["ci"]) is float  # of NumPy's, Gradio makes a text
    assert (east["concept"], east["ci"]) == ("<b>east", pytest.approx(4 * (order % width >= 48).mean()))
    assert nowhere == {
        "concept": "nowhere",
        "share": "0 %",
        "tki": "0 %",
        "ci": None,
        "figure": "–",
        "length": 0.0,
        "chance": None,
        "said": "",
        "words": "0 % of the strongest pixels on 0 % of the image",
        "ignored": "not in the image",
        "mask": None,
    }
    # The range of chance: the same hundred pixels at every place of the image, continued periodically.
    places = [
        np.roll(top.reshape(height, width), (down, right), (0, 1)) for down in range(height) for right in range(width)
    ]
    low, high = np.quantile([2 * place[:, :32].sum() / 100 for place in places], [0.025, 0.975])
    assert west["chance"] == pytest.approx([bar_length(low), bar_length(high)])
    assert west["said"] == ("more" if west["ci"] > high else "fewer" if west["ci"] < low else "")
    assert f"({low:.2f} to {high:.2f})" in west["words"]
    assert found["topWords"] == "the 100 strongest pixels, 2.1 % of all"  # of 4,864
    assert found["method"] == "Combi-CAM, as set"


def test_masks_are_shown_as_they_were_counted(model: GeoModel, image: Image.Image) -> None:
    found, _ = ask(model, image, {"dilate": 5, "share": 60}, mask=painting())
    west = found["rows"][0]
    assert mask_of(west["mask"], found["size"]).mean() == 37 / 64
    assert west["ignored"] == "covers 57.8 % of the image, less than 60 %"


def test_land_cover_knows_where_an_example_lies(model: GeoModel) -> None:
    example = examples()[0]
    picture = open_image(example.file)
    found, _ = ask(model, picture, {"segmenter": "landcover", "method": "grad-cam", "width": 5})
    view = model.preprocess.view(picture)
    masks = LandCover()(view, Footprint(example.lat_deg, example.lon_deg, 1150))
    assert {row["concept"]: row["mask"] for row in found["rows"]}.keys() == masks.keys()
    for row in found["rows"]:
        if row["mask"]:
            np.testing.assert_array_equal(mask_of(row["mask"], found["size"]), masks[row["concept"]])
    assert found["notes"].startswith(
        "Ocean and lakes by the map: the example's place is known, and it is 1,150 km wide."
    )


def test_land_cover_of_an_upload_is_by_colour_unless_its_width_is_given(model: GeoModel, image: Image.Image) -> None:
    words = {"segmenter": "landcover", "method": "grad-cam"}
    plain, _ = ask(model, image, words)
    assert "water" in {row["concept"] for row in plain["rows"]}
    assert plain["notes"].startswith("By colour alone")
    placed, _ = ask(model, image, words | {"width": 800})
    found = explain(image, model, target=4).prediction
    masks = LandCover()(model.preprocess.view(image), Footprint(found.lat_deg, found.lon_deg, 800))
    shares = {row["concept"]: row["share"] for row in placed["rows"]}
    assert shares.keys() == masks.keys()
    assert shares["ocean"] == f"{100 * masks['ocean'].mean():.1f} %"
    assert "at the predicted point, " in placed["notes"]


def test_attributions_report_their_passes_and_stop_when_called_off(model: GeoModel, image: Image.Image) -> None:
    found, heard = ask(model, image, {"method": "integrated-gradients"}, mask=painting())
    assert heard[-1] == (50, 50)
    assert [total for _, total in heard] == [50] * len(heard)
    assert "completeness error" in found["notes"]
    with pytest.raises(ExplanationCancelledError):
        ask(model, image, {"method": "smoothgrad-squared"}, mask=painting(), cancelled=True)


def test_a_flat_explanation_is_said_to_be_flat(model: GeoModel, image: Image.Image) -> None:
    combi = AS_PUBLISHED | {"weights": [0] * 16}
    found, _ = ask(model, image, {"combi": combi}, mask=painting())
    assert found["flat"] is True
    assert "it puts no pixel before another" in found["notes"]
    assert {row["ignored"] for row in found["rows"]} == {"the explanation is flat"}
    assert {row["ci"] for row in found["rows"]} == {None}


@pytest.mark.parametrize(
    "asked",
    [
        {"method": "guess"},
        {"method": None},
        {"method": ["grad-cam"]},
        {"segmenter": "segformer"},
        {"segmenter": "/etc/passwd"},
        {"segmenter": {}},
        {"k": 0},
        {"k": 10**6},
        {"k": None},
        {"k": "many"},
        {"share": float("nan")},
        {"share": 101},
        {"share": None},
        {"dilate": -1},
        {"dilate": 5000},
        {"dilate": 0.5},
        {"segmenter": "landcover", "width": 0},
        {"segmenter": "landcover", "width": 10**6},
        {"segmenter": "landcover", "width": "wide"},
        {"segmenter": "landcover", "width": float("nan")},
        {"combi": {"method": "grad-cam"}},
    ],
    ids=str,
)
def test_nonsense_is_refused_in_a_sentence(model: GeoModel, image: Image.Image, asked: dict[str, Any]) -> None:
    with pytest.raises((DataError, gr.Error)):
        ask(model, image, asked, mask=painting())


@pytest.mark.parametrize(
    ("mask", "legend", "message"),
    [
        (None, LEGEND, "expected a mask and its legend, got none"),
        (painting(), "  ", "expected a mask and its legend, got none"),
        (painting(), None, "expected a mask and its legend, got none"),
        (painting(), {"path": "/etc/passwd"}, "expected a mask and its legend, got none"),
        (painting(79), LEGEND, "size of the image, 80 × 96 px, got 79 × 96 px"),
        (painting(), "color,name\n#ff0000,west", "expected the colours of the legend alone, got 2 others"),
        (painting(), "hello", "expected a header with color and name, got 'hello'"),
        (painting(), "color,name\nred,west", "expected a colour such as #1e90ff, got 'red'"),
        (painting(), "{" * 50_000, "could not be parsed"),
        (painting(), "color,name\n" + "é" * 40_000, "expected at most 65,536 bytes"),
        (painting(), "color,name\n#ff0000,\u202ewest", "printable characters"),
        (painting(), "color,name\n#ff0000,\ud800", "UTF-8"),
    ],
    ids=range(12),
)
def test_other_masks_and_legends_are_refused(
    model: GeoModel, image: Image.Image, mask: Any, legend: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        ask(model, image, {}, mask=mask, legend=legend)


def bomb() -> bytes:
    """A PNG of a few bytes that says it is 30,000 × 30,000 px."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b""))
    body = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def test_a_mask_is_opened_as_any_upload_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    upload, _ = parts()
    assert type(upload) is GuardedImage
    assert upload.sources == ["upload"]
    outside = tmp_path.parent / "outside.png"
    painting().save(outside)
    folder = Path(get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    painting().save(buffer, "PNG")
    for name, content, message in (
        ("mask.png", bomb(), "megapixels"),
        ("mask.png", b"no picture", "expected a JPEG, PNG"),
        ("mask.png", buffer.getvalue()[:70], "damaged"),
        ("mask.svg", b"<svg/>", "SVG"),
    ):
        (folder / name).write_bytes(content)
        with pytest.raises(gr.Error, match=message):
            upload.preprocess(ImageData(path=str(folder / name)))
    with pytest.raises(gr.Error, match="not uploaded here"):
        upload.preprocess(ImageData(path=str(outside)))
    os.symlink(outside, folder / "link.png")
    with pytest.raises(gr.Error, match="not uploaded here"):
        upload.preprocess(ImageData(path=str(folder / "link.png")))
    (folder / "mask.png").write_bytes(buffer.getvalue())
    assert upload.preprocess(ImageData(path=str(folder / "mask.png"))).tobytes() == painting().tobytes()


def test_segformer_is_offered_by_a_server_that_has_one(
    model: GeoModel, image: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    assert "segformer" not in Elements(frame()).values("value")
    monkeypatch.setenv(SEGFORMER_VARIABLE, str(save_segformer(tmp_path / "net")))
    assert "segformer" in Elements(frame()).values("value")
    red = Image.new("RGB", image.size, (200, 50, 20))
    found, _ = ask(model, red, {"segmenter": "segformer"})
    assert [(row["concept"], row["share"]) for row in found["rows"]] == [("red", "100 %")]
    monkeypatch.setenv(SEGFORMER_VARIABLE, str(tmp_path / "elsewhere"))
    with pytest.raises(DataError) as refusal:
        ask(model, red, {"segmenter": "segformer"})
    assert str(tmp_path) not in str(refusal.value)
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert "segformer" not in Elements(frame()).values("value")


def test_the_menu_has_every_explanation() -> None:
    assert {AS_SET, *network_kinds()} - {TUNED} <= set(Elements(frame()).values("value"))
