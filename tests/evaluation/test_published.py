"""Published figures: those that come with geoexplain, and files of one's own."""

from pathlib import Path

import pytest

from geoexplain.errors import DataError
from geoexplain.evaluation.published import published_figures, published_sets


def test_the_sets_that_come_along() -> None:
    assert published_sets() == ["im2gps", "im2gps3k", "yfcc4k"]
    for name in published_sets():
        for row in published_figures(name.upper()):
            assert row.set.lower() == name
            assert row.source
            # a wider radius cannot hold fewer
            shares = [row.accuracy_percent[radius] for radius in sorted(row.accuracy_percent)]
            assert shares == sorted(shares)
            assert set(row.accuracy_percent) <= {1, 25, 200, 750, 2500}


def test_two_rows_as_the_papers_print_them() -> None:
    certh = next(row for row in published_figures("im2gps3k") if "CERTH" in row.model)
    assert certh.accuracy_percent == {1: 15.0, 25: 30.0, 200: 38.0, 750: 52.3, 2500: 67.6}
    assert "ICMR 2021" in certh.source
    semp = next(row for row in published_figures("yfcc4k") if "SemP" in row.model)
    assert semp.accuracy_percent == {1: 9.4, 25: 20.3, 200: 30.5, 750: 44.8, 2500: 61.3}


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("set,model,radius_km,accuracy_percent,source\nA,m,0.1,5,me\nA,n,1,7,me\nA,m,1,6,me\n")
    one, two = published_figures(str(file))
    assert (one.model, one.accuracy_percent) == ("m", {0.1: 5, 1: 6})
    assert (two.model, two.accuracy_percent) == ("n", {1: 7})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("set,model\n", "expected the columns set, model, radius_km"),
        ("", "expected the columns"),
        ("set,model,radius_km,accuracy_percent,source\nA,m,1,107,me\n", "line 2: expected a radius"),
        ("set,model,radius_km,accuracy_percent,source\nA,m,-1,7,me\n", "got '-1' and '7'"),
        ("set,model,radius_km,accuracy_percent,source\nA,m,1,nan,me\n", "got '1' and 'nan'"),
        ("set,model,radius_km,accuracy_percent,source\nA,m,1,7,me\nA,m,1.0,8,me\n", "line 3: .* once for each radius"),
        ("set,model,radius_km,accuracy_percent,source\nA,m\n", "line 2: expected a radius"),
    ],
)
def test_other_files_are_refused_in_a_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(DataError, match=sentence):
        published_figures(str(tmp_path / "mine.csv"))


@pytest.mark.parametrize("name", ["im2gps9k", "../published/im2gps", "."])
def test_what_is_no_set_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(DataError, match=r"im2gps, im2gps3k, yfcc4k"):
        published_figures(name)
