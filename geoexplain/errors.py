"""The ways geoexplain refuses its input: one family of errors, each a plain sentence."""


class GeoExplainError(Exception):
    """Base of every error that geoexplain raises on purpose.

    Its text is one plain sentence for the person who caused it: what was expected, what was found instead,
    and what to do about it. The command line prints it as it stands and the studio shows it as it stands,
    so it never holds a stack trace, nor a path that the person did not give.
    """


class ImageError(GeoExplainError):
    """An image cannot be read, is of a kind that is not accepted, or is too large."""


class CheckpointError(GeoExplainError):
    """A model file is missing, damaged, of an unknown kind, or does not fit the network it is loaded into."""


class DataError(GeoExplainError):
    """A data file, table, partition or argument does not hold what it has to."""
