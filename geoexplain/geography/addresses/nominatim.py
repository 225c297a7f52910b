"""Request addresses from a Nominatim server, one coordinate at a time; a cache on disk lets an interrupted run resume.

Each coordinate, rounded to a metre, is requested once (`/reverse`, addressdetails=1). The parts of an address are the
locations, fine to coarse, without house numbers, postal codes and ISO codes. The key of a building, a park or another
sight is its OpenStreetMap object ("W5013364") if the server returned that object. For streets, cities and other
locations that contain others, the server returns the object only if nothing finer exists there. Their key consists of
kind and name and of the city, state and country that contain them ("suburb:Gros-Caillou|Paris|FR"), so that it is the
same everywhere.

The public server, nominatim.openstreetmap.org, allows one request per second and no bulk requests: use your own server
for large sets.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from geopy.adapters import URLLibAdapter, get_retry_after
from geopy.exc import GeocoderParseError, GeocoderServiceError, GeocoderTimedOut, GeocoderUnavailable, GeopyError
from geopy.geocoders import Nominatim
from numpy.typing import ArrayLike

from geoexplain.errors import DataError
from geoexplain.geography.address import Addresses, Location
from geoexplain.geography.addresses.answer_cache import STEPS_PER_DEG, Address, AnswerCache, open_cache
from geoexplain.geography.addresses.collected import MAX_STEPS, Collected
from geoexplain.geography.addresses.forest import checked_points
from geoexplain.words import printable

PUBLIC = "openstreetmap.org"
PUBLIC_RATE_S = 1.0

TRIES = 5
"""Number of tries per coordinate. The wait between them doubles each time, or is as long as the server requests."""

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 300.0

FAILURES_IN_A_ROW = 3
"""Number of successive coordinates that fail after TRIES tries before the run stops."""

CITIES = ("city", "town", "village", "municipality")
STATES = ("state", "province", "territory")
HOLDING = (
    *(
        "road",
        "residential",
        "farm",
        "isolated_dwelling",
        "croft",
        "hamlet",
        "allotments",
        "neighbourhood",
        "city_block",
    ),
    *("quarter", "suburb", "subdivision", "borough", "district", "city_district", *CITIES, "county", "state_district"),
    *(*STATES, "region", "island", "islet", "archipelago", "country", "continent"),
)
"""Kinds of locations that contain others."""

LEFT_OUT = ("house_number", "postcode", "country_code")
LONGEST_NAME = 200


@dataclass(frozen=True)
class Pace:
    """Seconds between requests, until a timeout, and before the second try."""

    rate_limit_s: float
    timeout_s: float
    first_wait_s: float = FIRST_WAIT_S


def nominatim_addresses(
    points_deg: ArrayLike,
    *,
    host: str,
    user_agent: str,
    cache: Path,
    rate_limit_s: float = PUBLIC_RATE_S,
    timeout_s: float = 10.0,
    first_wait_s: float = FIRST_WAIT_S,
    language: str = "en",
    zoom: int = 18,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Addresses:
    """Return the addresses of points (N, 2) in degrees from a Nominatim server, in the points' order.

    `host` may start with http:// (default https) and include a port; `user_agent` identifies the user; `zoom` is from 3
    (country) to 18 (building). Answers in `cache` are not requested again. A point has no address if the server has
    none or fails TRIES times; failures are requested again in the next run. `progress` is called with (done, total) of
    distinct points.
    Raises DataError for wrong arguments, a server that refuses, cannot be reached or keeps failing, an unusable cache,
    and when `cancelled` returns True; all answers until then are in the cache.
    """
    points = checked_points(points_deg)
    pace = Pace(rate_limit_s, timeout_s, first_wait_s)
    server = _server(host, user_agent, pace)
    steps = np.round(points * STEPS_PER_DEG).astype(np.int64)
    distinct, which = np.unique(steps, axis=0, return_inverse=True)
    found = Collected()
    with open_cache(cache, f"{server.scheme}://{server.domain} {language} {zoom}") as answers:
        requests = _Requests(server, answers, pace, {"language": language, "zoom": zoom}, cancelled)
        for done, (lat, lon) in enumerate(distinct.tolist()):
            try:
                address = requests.address(lat, lon)
            except _StopError as stop:
                kept = f"{done - requests.missing:,} of {len(distinct):,} answers are kept in {printable(cache.name)}"
                raise DataError(f"{stop} {kept}.") from None
            found.add(lat, lon, [found.location(step.key, step.name, step.kind) for step in address])
            if progress is not None:
                progress(done + 1, len(distinct))
    asked = found.addresses()
    return Addresses(points, asked.locations, asked.paths[which.reshape(-1)])


def _server(host: str, user_agent: str, pace: Pace) -> Nominatim:
    scheme, _, domain = host.rpartition("://")
    domain = domain.strip("/")
    try:
        name = urlsplit(f"//{domain}").hostname or ""
    except ValueError:
        name = ""
    if scheme not in ("", "http", "https") or not name or not all(letter.isprintable() for letter in domain):
        raise DataError(f"--nominatim: expected a host such as nominatim.example.org, got {printable(host)!r}.")
    if not user_agent.strip() or not user_agent.isascii() or not user_agent.isprintable():
        raise DataError(
            f"Nominatim: expected a user agent that says who asks, such as 'my-survey (me@example.org)', "
            f"got {printable(user_agent)!r}."
        )
    if not (0 <= pace.rate_limit_s < math.inf and 0 < pace.timeout_s < math.inf and 0 <= pace.first_wait_s < math.inf):
        raise DataError(
            "Nominatim: expected seconds between requests ≥ 0, for an answer > 0 and to wait at first ≥ 0, got "
            f"{pace.rate_limit_s:g}, {pace.timeout_s:g} and {pace.first_wait_s:g}: correct these."
        )
    public = name.rstrip(".")
    if (public == PUBLIC or public.endswith(f".{PUBLIC}")) and pace.rate_limit_s < PUBLIC_RATE_S:
        raise DataError(
            f"Nominatim: expected at least {PUBLIC_RATE_S:g} second between requests to {public}, got "
            f"{pace.rate_limit_s:g}: its owners allow no more; use a server of your own to be faster."
        )
    try:
        return Nominatim(
            user_agent=user_agent,
            domain=domain,
            scheme=scheme or "https",
            timeout=pace.timeout_s,  # type: ignore[arg-type]  # geopy's annotation names only its default
            adapter_factory=URLLibAdapter,  # the other one would wait and ask again behind our back
        )
    except (GeopyError, ValueError) as error:
        raise DataError(
            f"Nominatim: expected a host and a user agent it takes, got '{printable(str(error))}'."
        ) from None


class _StopError(Exception):
    """Further requests are pointless; the text explains why to the user."""


class _Requests:
    """Requests to one server: keeps the earliest time of the next request and counts failures."""

    def __init__(
        self,
        server: Nominatim,
        answers: AnswerCache,
        pace: Pace,
        options: Mapping[str, Any],
        cancelled: Callable[[], bool] | None,
    ):
        self.server, self.answers, self.pace, self.options = server, answers, pace, options
        self.cancelled = cancelled or (lambda: False)
        self.next_s = 0.0
        self.failed = 0  # in a row
        self.missing = 0

    def address(self, lat: int, lon: int) -> Address:
        """Return the address at a coordinate in STEPS_PER_DEG, from the cache or the server; empty if there is none."""
        known = self.answers.get(lat, lon)
        if known is not None:
            return known
        problem = ""
        for wait_s in (0.0, *(self.pace.first_wait_s * 2**turn for turn in range(TRIES - 1))):
            self._wait(max(wait_s, self.next_s - time.monotonic()))
            self._wait(self.answers.turn_s(self.server.domain, self.pace.rate_limit_s))
            try:
                place = self.server.reverse((lat / STEPS_PER_DEG, lon / STEPS_PER_DEG), **self.options)
                address = () if place is None else tuple(parts(place.raw))
            except (GeopyError, ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
                problem = self._problem(error)
                continue
            self.answers.put(lat, lon, address)
            self.failed = 0
            return address
        return self._count_failure(problem)

    def _count_failure(self, problem: str) -> Address:
        self.failed += 1
        if self.failed >= FAILURES_IN_A_ROW or problem.startswith("no connection"):
            raise _StopError(
                f"{self.server.domain}: expected an address, got {problem}, {TRIES} times in a row: check the server, "
                "then start again to go on."
            )
        self.missing += 1
        return ()

    def _problem(self, error: Exception) -> str:
        """Describe an error that justifies another try. Raises _StopError for any other error."""
        status = getattr(error.__cause__, "status_code", None)
        if status is None:
            if isinstance(error, GeocoderTimedOut):
                return f"no answer in {self.pace.timeout_s:g} s"
            if type(error) in (GeocoderServiceError, GeocoderUnavailable):  # others, of an answer, are their children
                return "no connection"
            return (
                "something that is no address" if isinstance(error, GeocoderParseError) else "an answer of another form"
            )
        if status < 500 and status not in (408, 425, 429):
            raise _StopError(
                f"{self.server.domain}: expected an address, got HTTP {status}: check the host, the user agent and "
                "the server's rules, then start again to go on."
            )
        self._postpone(get_retry_after(error.__cause__.headers) or 0.0)  # type: ignore[union-attr]
        return f"HTTP {status}"

    def _postpone(self, wait_s: float) -> None:
        if wait_s > LONGEST_WAIT_S:
            raise _StopError(
                f"{self.server.domain}: expected an address, was told to wait for {wait_s:,.0f} s: start again then to "
                "go on."
            )
        self.next_s = max(self.next_s, time.monotonic() + wait_s)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            if self.cancelled():
                raise _StopError("Asking for addresses was cancelled: start again to go on.")
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.2))


def parts(answer: Mapping[str, Any]) -> Iterator[Location]:
    """Yield the locations in an answer of `/reverse`, fine to coarse. Raises ValueError for any other mapping."""
    address = answer.get("address")
    if not isinstance(address, Mapping):
        raise ValueError("no address")  # noqa: TRY004
    steps = [
        (_text(kind), _text(name))
        for kind, name in address.items()
        if kind not in LEFT_OUT and not kind.startswith("ISO") and isinstance(name, str) and name.strip()
    ][:MAX_STEPS]
    country = _text(str(address.get("country_code") or "")).upper()  # as the shipped borders know it
    for i, (kind, name) in enumerate(steps):
        coarser = [above for its_kind, above in steps[i + 1 :] if its_kind in (*CITIES, *STATES)]
        key = f"country:{country or name}" if kind == "country" else "|".join([f"{kind}:{name}", *coarser, country])
        found = _object(answer, name) if i == 0 and kind not in HOLDING else None
        yield Location(found or key, name, kind)


def _object(answer: Mapping[str, Any], name: str) -> str | None:
    """Return the answer's OpenStreetMap object, "W5013364", if it has that name, else None."""
    kind, number = str(answer.get("osm_type") or ""), answer.get("osm_id")
    own = answer.get("name") or str(answer.get("display_name") or "").partition(",")[0]
    if kind not in ("node", "way", "relation") or not isinstance(number, int) or _text(str(own)) != name:
        return None
    return f"{kind[0].upper()}{number}"


def _text(text: str) -> str:
    """Make an untrusted name fit for a key: one line, without the characters that separate keys."""
    return " ".join(printable(text, LONGEST_NAME).replace("<", "(").replace("|", "/").split())
