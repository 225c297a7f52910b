"""Numbers and phrases for people; the browser gets these strings and formats nothing itself.

What was measured is rounded by one rule per kind of number: `percent`, `kilometres`, `width_text`. What somebody
chose, such as the scale of a rule, is written as it was chosen: `exact_percent`, `exact_km`. Files for scripts (JSON,
CSV) keep the full numbers.
"""

import math
from collections.abc import Iterable, Sequence

NONE = "–"
"""Stands where there was nothing to count."""

ROUNDING = 1e-9
"""Shares that are summed up miss 1 by less."""


def printable(text: str, longest: int = 100) -> str:
    """Return a text of unknown origin, fit for one line of a message.

    Args:
        text: any text.
        longest: letters that are shown; the rest becomes "…".
    """
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:longest])
    return shown + "…" if len(text) > longest else shown


def printable_lines(text: str) -> str:
    """Return a text of any length without what a terminal would obey rather than show; its line breaks stay."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def percent(share: float) -> str:
    """Return a measured share in [0, 1] in per cent, with one decimal: "12.3 %".

    Only 0 is "0 %" and only 1 is "100 %": what lies nearer to them than 0.1 % is "< 0.1 %" or "> 99.9 %". A larger
    share never gets a smaller figure. NaN, where there was nothing to count, is "–".
    """
    if math.isnan(share):
        return NONE
    if share == 0:
        return "0 %"
    if share > 1 - ROUNDING:
        return "100 %"
    if share < 0.001:
        return "< 0.1 %"
    return "> 99.9 %" if share > 0.999 else f"{100 * share:.1f} %"


def exact_percent(share: float) -> str:
    """Return a share that somebody chose, or a mark on an axis, in per cent and unrounded: "12.5 %", "0.01 %"."""
    return f"{_unrounded(100 * share)} %"


def kilometres(distance_km: float) -> str:
    """Return a measured distance: "1,204 km", "23.4 km", "1 km", "370 m"; NaN is "–".

    Whole kilometres from 100 km on, one decimal below unless it is 0, metres below one kilometre; only 0 is "0 km".
    """
    if math.isnan(distance_km):
        return NONE
    if distance_km == 0:
        return "0 km"
    metres = round(1000 * distance_km)
    if metres < 1000:
        return f"{metres} m" if metres else "< 1 m"
    rounded = round(distance_km, 1)
    if rounded >= 100 or rounded == round(rounded):
        return f"{distance_km:,.0f} km"
    return f"{rounded:.1f} km"


def exact_km(distance_km: float) -> str:
    """Return a distance that somebody chose, unrounded: "2,500 km", "0.25 km"."""
    return f"{_unrounded(distance_km)} km"


def width_text(width_km: float, *, up: bool = False) -> str:
    """Return a width to two digits: "340 km", "1,200 km", "500 m"; rounded `up` it claims no less than there is."""
    if width_km <= 0:
        return "0 m"
    step = 10.0 ** (math.floor(math.log10(width_km)) - 1)
    steps = width_km / step
    rounded = step * (math.ceil(steps - 1e-9) if up else round(steps))
    if rounded < 1:
        return f"{max(1, round(1000 * rounded))} m"
    return f"{rounded:,.{0 if rounded >= 10 or rounded == round(rounded) else 1}f} km"


def position(lat_deg: float, lon_deg: float, digits: int = 1) -> str:
    """Return a point in degrees for people: "41.9° N, 12.5° E"."""
    lat, lon = f"{abs(lat_deg):.{digits}f}°", f"{abs(lon_deg):.{digits}f}°"
    return f"{lat} {'N' if lat_deg >= 0 else 'S'}, {lon} {'E' if lon_deg >= 0 else 'W'}"


def coordinates(lat_deg: float, lon_deg: float) -> str:
    """Return a point in degrees as `--target` takes it: "45.7640,4.8357"."""
    return f"{lat_deg:.4f},{lon_deg:.4f}"


def decimal(value: float | None, digits: int = 2) -> str:
    """Return a number with so many decimals and a minus sign: "0.75", "−0.03"; what rounds to 0 has no sign.

    None and NaN are "–".
    """
    if value is None or math.isnan(value):
        return NONE
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")  # −0.0 + 0.0 is 0.0


def plural(count: int, one: str, several: str = "") -> str:
    """Return the noun for a count: `one` for 1, else `several`, or `one` with an s."""
    return one if count == 1 else several or f"{one}s"


def counted(count: int, one: str, several: str = "") -> str:
    """Return a count with its noun: "1 cell", "1,204 cells"."""
    return f"{count:,} {plural(count, one, several)}"


def about(count: int, one: str) -> str:
    """Return an estimated count with its noun, to begin a sentence: "One more draw", "Some 1,300 more draws"."""
    return f"One {one}" if count == 1 else f"Some {counted(count, one)}"


def listed(names: Iterable[object], last: str = "and") -> str:
    """Return names as a list: "a", "a and b", "a, b and c"; "none" for no names."""
    *first, end = [str(name) for name in names] or ["none"]
    return f"{', '.join(first)} {last} {end}" if first else end


def series(texts: Sequence[str]) -> str:
    """Return figures that end in one unit with the unit once: "200 km", "750 km" → "200 / 750 km"."""
    figures, units = [text.rpartition(" ")[0] for text in texts], {text.rpartition(" ")[2] for text in texts}
    return f"{' / '.join(figures)} {units.pop()}" if len(units) == 1 else " / ".join(texts)


def extremes(values: Iterable[float]) -> str:
    """Return the least and the largest of numbers, for a message: "-1 to 12", "3", "0 to 1 and NaN", "none"."""
    low, high, missing = math.inf, -math.inf, False
    for value in map(float, values):  # one by one: there may be millions
        low, high, missing = min(low, value), max(high, value), missing or math.isnan(value)
    ends = [f"{end:.9g}" for end in dict.fromkeys((low, high))] if low <= high else []
    return " and ".join([*([" to ".join(ends)] if ends else []), *(["NaN"] if missing else [])]) or "none"


def mebibytes(size: float) -> str:
    """Return a number of bytes: "64 MiB", "1.5 MiB", "512 bytes"."""
    return f"{round(size / 2**20, 1):,g} MiB" if size >= 2**20 else counted(round(size), "byte")


def duration(seconds: float) -> str:
    """Return a time in seconds: "0.3 s", "12 s", "10 minutes"."""
    if seconds >= 120:
        return counted(round(seconds / 60), "minute")
    return f"{seconds:.0f} s" if seconds >= 10 else f"{round(seconds, 1):g} s"


def _unrounded(value: float) -> str:
    whole, _, decimals = f"{value:,.9f}".partition(".")
    return f"{whole}.{decimals.rstrip('0')}".rstrip(".")
