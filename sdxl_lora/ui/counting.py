"""Numbers with what they count, as people say them."""


def number_of(number: int, one: str, many: str = "") -> str:
    """ "1 picture", "25,000 pictures".

    Args:
        one: what is counted; words of our own, which are shown unescaped.
        many: the same of several, where it is not `one` with an s.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
