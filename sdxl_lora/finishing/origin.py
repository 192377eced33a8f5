"""What a picture is to the press: drawn by a model, a photo that a model changed, or a photo that was only finished.

A picture of this studio may have been made from another, and that from a photo: the way back decides.
"""

from collections.abc import Callable

from sdxl_lora.errors import StudioError
from sdxl_lora.records import Record
from sdxl_lora.records.iptc import SourceType
from sdxl_lora.request import GenerationRequest

_FARTHEST = 1_000  # steps back; records that name each other in a circle end here


def source_type(request: GenerationRequest, find: Callable[[str], Record]) -> SourceType:
    """The IPTC digital source type of a request's picture.

    `find` gives the record of an id, or raises `StudioError`; what was deleted counts as drawn by a model.
    """
    drawn = photo = False
    for _ in range(_FARTHEST):
        photo = photo or bool(request.product)
        drawn = drawn or request.is_drawn
        if not request.start_picture:
            break
        if not request.made_from:
            photo = True
            break
        try:
            request = find(request.made_from).request
        except StudioError:
            drawn = True
            break
    if not photo:
        return SourceType.GENERATED
    return SourceType.COMPOSITE if drawn else SourceType.ENHANCED
