"""Exceptions that geoexplain raises on invalid input; the message of each is one plain sentence."""


class GeoExplainError(Exception):
    """Base class of all errors that geoexplain raises on purpose.

    The message is one plain sentence for the user: what was expected, what was found instead, and what to do about
    it. The command line and the studio show it unchanged, so it contains no stack trace and no path that the user did
    not give.
    """


class ImageError(GeoExplainError):
    """An image cannot be read, has a format that is not accepted, or is too large."""


class CheckpointError(GeoExplainError):
    """A model file is missing, damaged, of an unknown format, or does not fit the network it is loaded into."""


class DataError(GeoExplainError):
    """A data file, a table, a partition or an argument is invalid."""
