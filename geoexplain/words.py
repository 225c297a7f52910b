"""Numbers and phrases for people; the browser gets these strings and formats nothing itself."""


def printable(text: str, longest: int = 100) -> str:
    """Return a text of unknown origin, fit for one line of a message.

    Args:
        text: any text.
        longest: letters that are shown; the rest becomes "…".
    """
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:longest])
    return shown + "…" if len(text) > longest else shown
