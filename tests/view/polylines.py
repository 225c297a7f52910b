"""Encoded polylines read back, for tests of what the map is sent."""


def polyline_integers(text: str) -> list[int]:
    """Google's encoded polyline algorithm backwards, from its description."""
    values, value, shift = [], 0, 0
    for letter in text:
        group = ord(letter) - 63
        value |= (group & 31) << shift
        shift += 5
        if group < 32:
            values.append(~(value >> 1) if value & 1 else value >> 1)
            value = shift = 0
    return values
