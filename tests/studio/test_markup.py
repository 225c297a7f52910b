"""The studio's own HTML: well formed, complete, and indifferent to what a model is called."""

from html.parser import HTMLParser

import pytest

from geoexplain.explainer.combine import COMBINATIONS
from geoexplain.explainer.table import GRADIENT_CAM, PERTURBATION_CAM, TUNED, kinds_of_family
from geoexplain.explainer.target import SCORES
from geoexplain.explainer.trace import LEVELS
from geoexplain.explainer.tuned import presets
from geoexplain.locator.prediction import RADII_KM
from geoexplain.studio import markup
from geoexplain.studio.examples import examples
from geoexplain.view.overlay import COLORMAPS

VOID = {"img", "input", "br", "hr", "meta", "link"}


class Elements(HTMLParser):
    """Every element with its attributes; complains of tags that do not close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, attribute: str) -> list[str | None]:
        return [attributes[attribute] for _, attributes in self.found if attribute in attributes]


def test_the_header_leaves_names_to_the_browser() -> None:
    header = Elements(markup.header())
    assert "geoexplain" in header.text
    assert [tag for tag, _ in header.found].count("select") == 1
    assert not {"option", "dt", "dd", "a", "script"} & {tag for tag, _ in header.found}


def test_every_choice_is_there_once() -> None:
    page = Elements(markup.explanation_frame())
    assert page.values("data-panel") == ["image", "combi-cam", *kinds_of_family(GRADIENT_CAM, PERTURBATION_CAM)]
    assert page.values("data-preset") == [*presets(), TUNED]
    options = [attributes["value"] for tag, attributes in page.found if tag == "option"]
    gradient = list(kinds_of_family(GRADIENT_CAM))
    assert options == [*COLORMAPS, *gradient, *LEVELS, *COMBINATIONS, *SCORES]
    for method in kinds_of_family(GRADIENT_CAM, PERTURBATION_CAM).values():
        assert method.title in page.text


def test_only_methods_with_passes_of_their_own_have_a_button() -> None:
    starts = [classes for classes in Elements(markup.explanation_frame()).values("class") if classes == "ge-start"]
    assert len(starts) == len(kinds_of_family(PERTURBATION_CAM)) == 1


def test_the_gallery_has_a_button_per_example() -> None:
    page = Elements(markup.gallery())
    assert page.values("data-example") == [str(index) for index in range(len(examples()))]
    for example in examples():
        assert example.title in page.text
    assert examples()[0].credit in page.text


@pytest.mark.parametrize("uploads", [True, False])
def test_uploads_come_with_a_word_on_what_becomes_of_them(uploads: bool) -> None:
    text = Elements(markup.consent(uploads)).text
    assert ("not kept" in text) == uploads
    assert ("switched off" in text) != uploads


def test_frames_are_well_formed_and_titled() -> None:
    assert Elements(markup.map_frame()).values("title") == ["World map of the predicted cells"]
    answer = Elements(markup.answer_frame())
    assert [tag for tag, _ in answer.found].count("th") == 4
    assert answer.values("data-scale") == [str(radius_km) for radius_km in RADII_KM]
