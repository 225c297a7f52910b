"""The examples are known again by their pixels, and nothing else is taken for one."""

import io

import pytest
from PIL import Image

from geoexplain.images import open_image
from geoexplain.studio.examples import Example, examples, find_example


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.title)
def test_an_example_is_known_again_whatever_its_name_or_format(example: Example) -> None:
    image = open_image(example.file)
    assert find_example(image) is example
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    assert find_example(open_image(buffer.getvalue())) is example


def test_another_image_is_none_of_them() -> None:
    image = open_image(examples()[0].file)
    changed = image.copy()
    changed.putpixel((3, 5), tuple(255 - value for value in image.getpixel((3, 5))))
    assert find_example(changed) is None
    assert find_example(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) is None
    # The same bytes in another shape are another image.
    width, height = image.size
    assert find_example(Image.frombytes("RGB", (width * 2, height // 2), image.tobytes())) is None


def test_the_gallery_is_worth_looking_at() -> None:
    rows = examples()
    assert len(rows) >= 12
    assert len({row.title for row in rows}) == len({row.file for row in rows}) == len(rows)
    kinds = " ".join(row.kind for row in rows)
    for kind in ("coast", "desert", "mountain", "forest", "ice", "island", "not localizable"):
        assert kind in kinds
    for row in rows:
        assert -90 <= row.lat_deg <= 90
        assert -180 <= row.lon_deg <= 180
        assert "NASA" in row.credit
        assert min(open_image(row.file).size) >= 224
