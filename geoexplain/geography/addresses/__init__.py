"""Addresses of coordinates, fine to coarse: from the shipped gazetteer, Natural Earth's files, or Nominatim."""

from geoexplain.geography.addresses.borders import border_of
from geoexplain.geography.addresses.cell_places import place_trees
from geoexplain.geography.addresses.natural import natural_addresses
from geoexplain.geography.addresses.offline import territory_addresses

__all__ = ["border_of", "natural_addresses", "place_trees", "territory_addresses"]
