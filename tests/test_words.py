import ast
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoexplain import words

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "geoexplain").rglob("*.py"))
SCRIPTS = sorted(path for path in (ROOT / "assets").rglob("*.js") if path.parent.name != "leaflet")

SHARES = st.floats(0, 1) | st.sampled_from([0.0, 1e-12, 0.0005, 0.00099, 0.001, 0.999, 0.99901, 0.9996, 1 - 1e-7, 1.0])


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (1e-300, "< 0.1 %"),
        (0.00099, "< 0.1 %"),
        (0.001, "0.1 %"),
        (0.0017, "0.2 %"),
        (0.0123, "1.2 %"),
        (0.8, "80.0 %"),
        (0.99894, "99.9 %"),
        (0.9991, "> 99.9 %"),
        (1 - 1e-8, "> 99.9 %"),
        (0.1 + 0.2 + 0.7, "100 %"),  # 0.9999999999999999 or 1: a rounding error of a sum
        (1, "100 %"),
        (math.nan, "–"),
    ],
)
def test_a_measured_share(share: float, text: str) -> None:
    assert words.percent(share) == text


@given(SHARES)
def test_only_zero_is_0_percent_and_only_one_is_100(share: float) -> None:
    assert (words.percent(share) == "0 %") == (share == 0)
    assert (words.percent(share) == "100 %") == (share > 1 - 1e-9)
    assert not re.match(r"0\.0 |100\.0 ", words.percent(share))


@given(SHARES, SHARES)
def test_a_larger_share_never_reads_as_less(one: float, other: float) -> None:
    def rank(share: float) -> float:
        text = words.percent(share).removesuffix(" %")
        return 0.05 if text == "< 0.1" else 99.95 if text == "> 99.9" else float(text)

    low, high = sorted((one, other))
    assert rank(low) <= rank(high)
    assert rank(low) == pytest.approx(100 * low, abs=0.1)


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0 %"), (1e-7, "0.00001 %"), (0.07, "7 %"), (0.125, "12.5 %"), (0.29, "29 %"), (1, "100 %")]
)
def test_a_chosen_share(share: float, text: str) -> None:
    assert words.exact_percent(share) == text


@given(st.integers(0, 10**6))
def test_a_chosen_share_can_be_read_back(millionths: int) -> None:
    share = millionths / 10**6
    assert float(words.exact_percent(share).removesuffix(" %")) / 100 == pytest.approx(share, abs=1e-12)


@pytest.mark.parametrize(
    ("distance_km", "text"),
    [
        (0, "0 km"),
        (1e-5, "< 1 m"),
        (0.04, "40 m"),
        (0.9994, "999 m"),
        (0.9996, "1 km"),
        (1, "1 km"),
        (23.44, "23.4 km"),
        (23.97, "24 km"),
        (99.96, "100 km"),
        (101.46875, "101 km"),  # not rounded to 101.5 first
        (1203.7, "1,204 km"),
        (math.nan, "–"),
    ],
)
def test_a_measured_distance(distance_km: float, text: str) -> None:
    assert words.kilometres(distance_km) == text


@given(st.floats(1e-3, 20_100), st.floats(1e-3, 20_100))
def test_a_longer_way_never_reads_as_less_and_reads_back_to_half_a_digit(one: float, other: float) -> None:
    def read(distance_km: float) -> float:
        figure, unit = words.kilometres(distance_km).replace(",", "").split(" ")
        return float(figure) / (1000 if unit == "m" else 1)

    low, high = sorted((one, other))
    assert read(low) <= read(high)
    assert read(low) == pytest.approx(low, abs=0.00051 if low < 1 else 0.051 if low < 100 else 0.51)


@pytest.mark.parametrize(
    ("distance_km", "text"),
    [(2500, "2,500 km"), (0.25, "0.25 km"), (1, "1 km"), (1e-5, "0.00001 km"), (12.5, "12.5 km")],
)
def test_a_chosen_distance(distance_km: float, text: str) -> None:
    assert words.exact_km(distance_km) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.756, 2, "0.76"),
        (-0.034, 2, "−0.03"),
        (-0.004, 2, "0.00"),
        (12.4, 0, "12"),
        (None, 2, "–"),
        (math.nan, 1, "–"),
    ],
)
def test_a_decimal(value: float | None, digits: int, text: str) -> None:
    assert words.decimal(value, digits) == text


@pytest.mark.parametrize(("size", "text"), [(1, "1 byte"), (2**20 - 1, "1,048,575 bytes"), (2**26, "64 MiB")])
def test_a_number_of_bytes(size: int, text: str) -> None:
    assert words.mebibytes(size) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.25, "0.2 s"), (4, "4 s"), (59.6, "60 s"), (600, "10 minutes")])
def test_a_time(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def test_counts_lists_and_series() -> None:
    assert [words.counted(n, "cell") for n in (0, 1, 1204)] == ["0 cells", "1 cell", "1,204 cells"]
    assert [words.plural(n, "is", "are") for n in (1, 2)] == ["is", "are"]
    assert [words.listed("abc"[:n]) for n in range(4)] == ["none", "a", "a and b", "a, b and c"]
    assert words.listed((1, 2, 3), "or") == "1, 2 or 3"
    assert words.series(["200 km", "750 km", "2,500 km"]) == "200 / 750 / 2,500 km"
    assert words.series(["< 0.1 %", "60.1 %"]) == "< 0.1 / 60.1 %"
    assert words.series(["370 m", "1.2 km"]) == "370 m / 1.2 km"


@pytest.mark.parametrize(
    ("values", "text"),
    [([], "none"), ([3], "3"), ([5, -1, 12], "-1 to 12"), ([math.nan, 0, 1], "0 to 1 and NaN"), ([math.nan], "NaN"),
     ([1234567, math.inf], "1234567 to inf")],
)  # fmt: skip
def test_ranges_of_numbers_in_messages(values: list[float], text: str) -> None:
    assert words.extremes(values) == text


def test_an_estimated_count() -> None:
    assert [words.about(n, "more draw") for n in (1, 1300)] == ["One more draw", "Some 1,300 more draws"]


def test_positions() -> None:
    assert words.position(41.903, -12.496) == "41.9° N, 12.5° W"
    assert words.position(-33.8688, 151.2093, 4) == "33.8688° S, 151.2093° E"
    assert words.coordinates(45.764, 4.8357) == "45.7640,4.8357"


def test_untrusted_text_is_shown_without_control_characters() -> None:
    assert words.printable("a\x1b[2Jb\nc") == "a?[2Jb?c"
    assert words.printable("x" * 101) == "x" * 100 + "…"
    assert words.printable_lines("a\x1b[2Jb\nc" + "x" * 101) == "a?[2Jb\nc" + "x" * 101


# ---- no other module formats numbers

FORMATS_ITSELF = {
    "cli/inference.py": "prints the last lines of the original inference.py, letter by letter",
    "explainer/metrics.py": "the published average drop is a number in per cent",
    "evaluation/plot.py": "an axis in per cent",
    "cli/evaluate_views.py": "a file name: disc-cloud-below-10",
}
"""Modules that may format a percentage themselves, each with the reason."""


def percentages(tree: ast.AST) -> list[str]:
    """Return format specs of percent, numbers before a % sign, and products with 100, in a module."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            sides = [side.value for side in (node.left, node.right) if isinstance(side, ast.Constant)]
            found += [ast.unparse(node)] * any(type(side) in (int, float) and side == 100 for side in sides)
        if isinstance(node, ast.JoinedStr):
            for part, after in zip(node.values, [*node.values[1:], None], strict=True):
                if not isinstance(part, ast.FormattedValue):
                    continue
                spec = ast.unparse(part.format_spec) if part.format_spec else ""
                follows = after.value if isinstance(after, ast.Constant) else ""
                if "%" in spec or re.match(r"[  ]?%", str(follows)):
                    found.append(ast.unparse(node))
    return found


def plurals(tree: ast.AST) -> list[str]:
    """Return choices between an s and none, or between texts, by whether a count is 1."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.IfExp):
            texts = [one for one in (node.body, node.orelse) if isinstance(one, ast.Constant | ast.JoinedStr)]
            values = [one.value for one in texts if isinstance(one, ast.Constant)]
            ones = [one for one in values if re.match(r"(1|One) [a-z]", str(one))]
            if {"", "s"} <= set(values) or ones:
                found.append(ast.unparse(node))
    return found


def distances(tree: ast.AST) -> list[str]:
    """Return numbers with a rounding of their own before km."""
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part, after in zip(node.values, [*node.values[1:], None], strict=True)
        if isinstance(part, ast.FormattedValue) and part.format_spec is not None
        if isinstance(after, ast.Constant) and re.match(r" km\b", str(after.value))
    ]


def test_no_other_module_formats_percentages_plurals_or_distances() -> None:
    own = {}
    for path in SOURCES:
        tree, name = ast.parse(path.read_text(encoding="utf-8")), path.relative_to(ROOT / "geoexplain").as_posix()
        found = [*percentages(tree), *plurals(tree), *distances(tree)]
        if found and name != "words.py":
            own[name] = found
    counts_hundreds = {"explainer/trial.py", "training/views.py"}  # steps of progress, and samples per cell
    assert {name: found for name, found in own.items() if name not in {*FORMATS_ITSELF, *counts_hundreds}} == {}
    assert {*FORMATS_ITSELF, *counts_hundreds} <= set(own)


def test_the_reader_sees_every_way_of_formatting() -> None:
    for line in ('f"{a:.1%}"', 'f"{a:g} %"', 'f"{a}%"', "100 * a", "a * 100.0"):
        assert percentages(ast.parse(line))
    assert plurals(ast.parse("f\"cell{'' if n == 1 else 's'}\""))
    assert plurals(ast.parse("'1 cell' if n == 1 else f'{n} cells'"))
    assert distances(ast.parse('f"{a:,.0f} km"'))
    assert not distances(ast.parse('f"{kilometres(a)} away"'))


BROWSER_FORMATS = {
    ("studio/tiles.js", "weights[i].toFixed(2)"): "the value of a slider, which a method's own weight may lie beside",
    (
        "studio/answer.js",
        '`${km.toLocaleString("en", { maximumFractionDigits: 3 })} km`',
    ): "a distance that a visitor types",
    ("world/partitionmap.js", "${lat.toFixed(3)}, ${lon.toFixed(3)}"): "the centre of one of 30,000 cells, pointed at",
}
"""Formats that a script may write itself, each with the reason."""

FORMATS = re.compile(r"toFixed|toPrecision|toLocaleString|Intl\.|\}(?: | |\\u00a0)?%(?! \d)|\}(?: | |\\u00a0)km\b")


def test_the_scripts_format_nothing() -> None:
    left = []
    for path in SCRIPTS:
        name, text = path.relative_to(ROOT / "assets").as_posix(), path.read_text(encoding="utf-8")
        for file, code in BROWSER_FORMATS:
            if file == name:
                assert code in text
                text = text.replace(code, "")
        for line in text.splitlines():
            styles = "style" in line or "setProperty" in line  # lengths in CSS
            if FORMATS.search(line) and not styles and len(line) < 1000:
                left.append(f"{name}: {line.strip()}")
    assert left == []


def test_no_message_says_got_others() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
            else:
                text = str(node.value) if isinstance(node, ast.Constant) else ""
            assert not re.search(r"\bgot (others|another (number|value))\b", text), f"{path.name}: {text}"
