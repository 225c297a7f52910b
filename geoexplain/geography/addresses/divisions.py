"""How the world is divided: continents into parts, parts into countries, oceans into seas.

Parts are the sub-regions of the UN's standard M49, by the names that people use, with these exceptions: the Middle East
is Western Asia with Iran and without the Caucasus, which stands alone; Cyprus is in Europe. Kosovo, Taiwan and islands
that M49 leaves out stand with their neighbours; islands near Antarctica belong to it directly.
"""

CONTINENTS = {
    "Africa": ("Northern Africa", "Western Africa", "Central Africa", "Eastern Africa", "Southern Africa"),
    "Antarctica": (),
    "Asia": ("Central Asia", "Eastern Asia", "Southeast Asia", "Southern Asia", "Middle East", "Caucasus"),
    "Europe": ("Eastern Europe", "Northern Europe", "Southern Europe", "Western Europe"),
    "North America": ("Northern America", "Central America", "Caribbean"),
    "Oceania": ("Australia and New Zealand", "Melanesia", "Micronesia", "Polynesia"),
    "South America": (),
}
"""A continent → its parts; without parts, it holds its countries itself."""

COUNTRIES = {
    "Northern Africa": "DZ EG LY MA SD TN EH",
    "Western Africa": "BJ BF CV CI GM GH GN GW LR ML MR NE NG SH SN SL TG",
    "Central Africa": "AO CM CF TD CG CD GQ GA ST",
    "Eastern Africa": "BI KM DJ ER ET IO KE MG MW MU YT MZ RE RW SC SO SS TZ UG ZM ZW",
    "Southern Africa": "BW SZ LS NA ZA",
    "Antarctica": "AQ BV GS HM TF",
    "Central Asia": "KZ KG TJ TM UZ",
    "Eastern Asia": "CN HK JP KP KR MN MO TW",
    "Southeast Asia": "BN KH ID LA MY MM PH SG TH TL VN",
    "Southern Asia": "AF BD BT IN LK MV NP PK",
    "Middle East": "AE BH IL IQ IR JO KW LB OM PS QA SA SY TR YE",
    "Caucasus": "AM AZ GE",
    "Eastern Europe": "BY BG CZ HU MD PL RO RU SK UA",
    "Northern Europe": "AX DK EE FO FI GB GG IE IM IS JE LT LV NO SE SJ",
    "Southern Europe": "AD AL BA CY ES GI GR HR IT ME MK MT PT RS SI SM VA XK",
    "Western Europe": "AT BE CH DE FR LI LU MC NL",
    "Northern America": "BM CA GL PM US",
    "Central America": "BZ CR GT HN MX NI PA SV",
    "Caribbean": "AG AI AW BB BL BQ BS CU CW DM DO GD GP HT JM KN KY LC MF MQ MS PR SX TC TT VC VG VI",
    "Australia and New Zealand": "AU CC CX NF NZ",
    "Melanesia": "FJ NC PG SB VU",
    "Micronesia": "FM GU KI MH MP NR PW UM",
    "Polynesia": "AS CK NU PF PN TK TO TV WF WS",
    "South America": "AR BO BR CL CO EC FK GF GY PE PY SR UY VE",
}
"""A part, or a continent without parts → its countries and territories, ISO 3166-1."""

WITHOUT_CODE = {"Siachen Glacier": "Southern Asia"}
"""Territories that ISO 3166-1 does not know → their part."""

OCEANS = {
    "Atlantic Ocean": (
        "Adriatic Sea, Aegean Sea, Alboran Sea, Balearic Sea, Baltic Sea, Bay of Biscay, Black Sea, Caribbean Sea, "
        "Celtic Sea, Davis Strait, Denmark Strait, English Channel, Gulf of Bothnia, Gulf of Finland, Gulf of Guinea, "
        "Gulf of Mexico, Gulf of Riga, Gulf of Saint Lawrence, Ionian Sea, Irish Sea, Kattegat, Labrador Sea, "
        "Ligurian Sea, Mediterranean Sea, North Atlantic Ocean, North Sea, Norwegian Sea, Sea of Azov, Sea of Marmara, "
        "Skagerrak, South Atlantic Ocean, Tyrrhenian Sea"
    ),
    "Arctic Ocean": (
        "Arctic Ocean, Baffin Bay, Barents Sea, Beaufort Sea, Chukchi Sea, East Siberian Sea, Foxe Basin, "
        "Greenland Sea, Hudson Bay, Hudson Strait, James Bay, Kara Sea, Laptev Sea, White Sea"
    ),
    "Indian Ocean": (
        "Andaman Sea, Arabian Sea, Bay of Bengal, Great Australian Bight, Gulf of Aden, Gulf of Aqaba, Gulf of Oman, "
        "Indian Ocean, Laccadive Sea, Mozambique Channel, Persian Gulf, Red Sea, Strait of Malacca, Timor Sea"
    ),
    "Pacific Ocean": (
        "Arafura Sea, Banda Sea, Bass Strait, Bering Sea, Bismarck Sea, Bohai Sea, Celebes Sea, Coral Sea, "
        "East China Sea, Flores Sea, Gulf of Alaska, Gulf of California, Gulf of Carpentaria, Gulf of Thailand, "
        "Gulf of Tonkin, Java Sea, Makassar Strait, Molucca Sea, North Pacific Ocean, Philippine Sea, Sea of Japan, "
        "Sea of Okhotsk, Solomon Sea, South China Sea, South Pacific Ocean, Sulu Sea, Tasman Sea, Yellow Sea"
    ),
    "Southern Ocean": (
        "Amundsen Sea, Bellingshausen Sea, Drake Passage, Ross Sea, Scotia Sea, Southern Ocean, Weddell Sea"
    ),
}
"""An ocean → the seas of `assets/world/regions.csv` that are part of it; the Caspian is part of none."""


def part_of(code: str, name: str) -> str:
    """The part of a continent, or the continent, that holds a country; "" for one of neither table."""
    return _PART_OF.get(code) or WITHOUT_CODE.get(name, "")


_PART_OF = {code: part for part, codes in COUNTRIES.items() for code in codes.split()}
