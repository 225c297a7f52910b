"""Makes `borders.npz`: the borders of countries, parts of continents and continents, joined of `countries.npz`.

    PYTHONPATH=. python assets/world/borders.py

It is to be run whenever `countries.npz` or geoexplain/geography/addresses/divisions.py has changed.
"""

from geoexplain.geography.addresses.borders import joined_borders
from geoexplain.geography.addresses.shipped_borders import FILE, write_borders
from geoexplain.geography.gazetteer import WORLD


def main() -> None:
    """Write the file beside this one."""
    borders = joined_borders()
    write_borders(borders, WORLD / FILE)
    print(f"{FILE}: {len(borders)} borders, {(WORLD / FILE).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
