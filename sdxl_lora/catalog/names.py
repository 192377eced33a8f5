"""Names of files from names of products: safe on every system, each its own, never outside the folder."""

import unicodedata

from sdxl_lora.errors import DataError

MOST_BYTES = 120  # of a name without its suffix, in UTF-8; file systems take 255
_KEPT = "._-"
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


def safe(text: str) -> str:
    """`text` as a file's name without a suffix: letters, digits and `._-` of any language; what else there is becomes
    a hyphen. Empty where nothing is left of it."""
    plain = unicodedata.normalize("NFKC", text)
    kept = "".join(c if c.isalnum() or c in _KEPT else "-" for c in plain)
    while "--" in kept or ".." in kept:
        kept = kept.replace("--", "-").replace("..", ".")
    kept = kept.encode()[:MOST_BYTES].decode(errors="ignore").strip("-._")
    return f"_{kept}" if kept.split(".")[0].lower() in _RESERVED else kept


class Names:
    """Names that were given so far; the same one is given once, whether letters are large or small."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, *parts: str) -> str:
        """A name of the parts, with a number at its end where it is taken. Raises `DataError` for nothing."""
        whole = safe("-".join(filter(None, map(safe, parts))))
        if not whole:
            raise DataError(
                f"{parts[0]!r} has no letter or digit to name a file after" if parts else "no name"
            )
        name, number = whole, 2
        while name.casefold() in self._taken:
            name, number = f"{whole}-{number}", number + 1
        self._taken.add(name.casefold())
        return name
