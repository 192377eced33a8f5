"""Logos that tests draw: invented marks, as SVG text."""

_HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {w} {h}">'


def svg(inside: str, w: int = 100, h: int = 100) -> bytes:
    """An SVG file around `inside`."""
    return (_HEAD.format(w=w, h=h) + inside + "</svg>").encode()


# a peak over a bar: two colours, no symmetry
PEAK = svg(
    '<path fill="#c8102e" d="M5 70 40 12 58 42 66 30 95 70Z"/><path fill="#1f2a44" d="M5 78h60v12H5Z"/>'
    '<circle cx="82" cy="20" r="9" fill="#1f2a44"/>'
)
