"""Format numbers and phrases for people.

The browser receives these strings and formats nothing itself. Measured values are rounded by one rule for each kind of
number: `percent`, `kilometres`, `width_text`. Values that a person chose, such as a threshold, are not rounded:
`exact_percent`, `exact_km`. Files for scripts (JSON, CSV) keep the full numbers.
"""

import math
from collections.abc import Iterable, Sequence

NONE = "–"
"""Text for a number that does not exist, such as the mean of no values."""

ROUNDING = 1e-9
"""Upper bound of the rounding error in a sum of shares: a sum within this distance of 1 counts as 1."""


def printable(text: str, longest: int = 100) -> str:
    """Return an untrusted text in a form that is safe in one line of a message.

    Args:
        text: any text; characters that are not printable become "?".
        longest: maximum number of characters to keep; longer texts end with "…".
    """
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:longest])
    return shown + "…" if len(text) > longest else shown


def printable_lines(text: str) -> str:
    """Return a text with control characters replaced by "?", so that a terminal can show it; line breaks stay."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def percent(share: float) -> str:
    """Return a measured share in [0, 1] as a percentage with one decimal: "12.3 %".

    Only 0 gives "0 %" and only 1 gives "100 %"; values within 0.1 % of them give "< 0.1 %" or "> 99.9 %". The text is
    monotonic: a larger share never gives a smaller figure. NaN gives "–".
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
    """Return a chosen share, such as a threshold or an axis label, as an unrounded percentage: "12.5 %", "0.01 %"."""
    return f"{_unrounded(100 * share)} %"


def kilometres(distance_km: float) -> str:
    """Return a measured distance in km as text: "1,204 km", "23.4 km", "1 km", "370 m"; NaN gives "–".

    Distances from 100 km on are whole kilometres. Shorter ones have one decimal unless it is 0, and those below 1 km
    are in metres. Only 0 gives "0 km".
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
    """Return a chosen distance, unrounded: "2,500 km", "0.25 km"."""
    return f"{_unrounded(distance_km)} km"


def width_text(width_km: float, *, up: bool = False) -> str:
    """Return a width in km with two significant digits: "340 km", "1,200 km", "500 m".

    `up` rounds up, so that the text is never smaller than the width.
    """
    if width_km <= 0:
        return "0 m"
    step = 10.0 ** (math.floor(math.log10(width_km)) - 1)
    steps = width_km / step
    rounded = step * (math.ceil(steps - 1e-9) if up else round(steps))
    if rounded < 1:
        return f"{max(1, round(1000 * rounded))} m"
    return f"{rounded:,.{0 if rounded >= 10 or rounded == round(rounded) else 1}f} km"


def position(lat_deg: float, lon_deg: float, digits: int = 1) -> str:
    """Return a position in degrees as text: "41.9° N, 12.5° E"."""
    lat, lon = f"{abs(lat_deg):.{digits}f}°", f"{abs(lon_deg):.{digits}f}°"
    return f"{lat} {'N' if lat_deg >= 0 else 'S'}, {lon} {'E' if lon_deg >= 0 else 'W'}"


def coordinates(lat_deg: float, lon_deg: float) -> str:
    """Return a position in degrees in the format of the option `--target`: "45.7640,4.8357"."""
    return f"{lat_deg:.4f},{lon_deg:.4f}"


def decimal(value: float | None, digits: int = 2) -> str:
    """Return a number with `digits` decimals and a typographic minus sign: "0.75", "−0.03".

    Values that round to 0 have no sign. None and NaN give "–".
    """
    if value is None or math.isnan(value):
        return NONE
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")  # −0.0 + 0.0 is 0.0


def plural(count: int, one: str, several: str = "") -> str:
    """Return the noun for a count: `one` if the count is 1, else `several` or, if that is empty, `one` with an "s"."""
    return one if count == 1 else several or f"{one}s"


def counted(count: int, one: str, several: str = "") -> str:
    """Return a count with its noun: "1 cell", "1,204 cells"."""
    return f"{count:,} {plural(count, one, several)}"


def about(count: int, one: str) -> str:
    """Return an estimated count with its noun as the start of a sentence: "One more draw", "Some 1,300 more draws"."""
    return f"One {one}" if count == 1 else f"Some {counted(count, one)}"


def listed(names: Iterable[object], last: str = "and") -> str:
    """Join names into a list with `last` before the last one: "a", "a and b", "a, b and c"; no names give "none"."""
    *first, end = [str(name) for name in names] or ["none"]
    return f"{', '.join(first)} {last} {end}" if first else end


def series(texts: Sequence[str]) -> str:
    """Join figures; if all have the same unit, write it once: "200 km", "750 km" → "200 / 750 km"."""
    figures, units = [text.rpartition(" ")[0] for text in texts], {text.rpartition(" ")[2] for text in texts}
    return f"{' / '.join(figures)} {units.pop()}" if len(units) == 1 else " / ".join(texts)


def extremes(values: Iterable[float]) -> str:
    """Return the range of numbers for a message: "-1 to 12", "3", "0 to 1 and NaN", "none"."""
    low, high, missing = math.inf, -math.inf, False
    for value in map(float, values):  # one by one: there may be millions
        low, high, missing = min(low, value), max(high, value), missing or math.isnan(value)
    ends = [f"{end:.9g}" for end in dict.fromkeys((low, high))] if low <= high else []
    return " and ".join([*([" to ".join(ends)] if ends else []), *(["NaN"] if missing else [])]) or "none"


def mebibytes(size: float) -> str:
    """Return a number of bytes as text: "64 MiB", "1.5 MiB", "512 bytes"."""
    return f"{round(size / 2**20, 1):,g} MiB" if size >= 2**20 else counted(round(size), "byte")


def duration(seconds: float) -> str:
    """Return a time in seconds as text: "0.3 s", "12 s", "10 minutes"."""
    if seconds >= 120:
        return counted(round(seconds / 60), "minute")
    return f"{seconds:.0f} s" if seconds >= 10 else f"{round(seconds, 1):g} s"


def _unrounded(value: float) -> str:
    whole, _, decimals = f"{value:,.9f}".partition(".")
    return f"{whole}.{decimals.rstrip('0')}".rstrip(".")
