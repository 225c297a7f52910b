"""Addresses in words."""

from geoexplain.geography.address import Addresses


def keys(addresses: Addresses) -> list[list[str]]:
    return [[addresses.locations[step].key for step in path if step >= 0] for path in addresses.paths.tolist()]


def names(addresses: Addresses) -> list[list[str]]:
    return [[addresses.locations[step].name for step in path if step >= 0] for path in addresses.paths.tolist()]
