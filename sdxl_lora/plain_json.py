"""JSON that may come from anybody: values, or `json.JSONDecodeError`, whatever is in it.

Python's own reader raises something else where lists are nested too deeply and where a number has more than 4,300
digits; whoever catches the one error would let a traceback through. Nothing else is imported here.
"""

import json
from typing import Any


def parse(text: str | bytes) -> Any:
    """The values in `text`. Raises `json.JSONDecodeError`, or `UnicodeDecodeError` for bytes that are no text."""
    try:
        return json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except RecursionError:
        raise json.JSONDecodeError("lists or objects are nested too deeply", "", 0) from None
    except ValueError as error:  # a number of more digits than Python turns into one
        raise json.JSONDecodeError(str(error).split(";")[0], "", 0) from None
