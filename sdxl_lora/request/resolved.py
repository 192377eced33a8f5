"""A request in which nothing is open any more: what a picture is made from, and what its record says."""

from dataclasses import dataclass
from typing import Any, Self

from sdxl_lora.config import EngineName, Precision
from sdxl_lora.errors import RequestError
from sdxl_lora.request.wish import FIELDS, GenerationRequest


@dataclass(frozen=True, kw_only=True)
class ResolvedRequest(GenerationRequest):
    """A `GenerationRequest` that was decided, see `generation.resolve`: every field has a value.

    It says by content which model and which LoRAs are meant (`model_sha256`, `LoraSpec.sha256`): once one of them was
    trained again or exchanged, this is a request for something that is gone, and is refused when it is loaded.
    """

    steps: int
    guidance: float
    guidance_end: float
    cleanup_timestep: int  # 0 = none
    seed: int
    width: int  # px
    height: int  # px
    precision: Precision  # never "auto"
    engine: EngineName  # never "auto"; torch draws in its place until a conversion is ready, and the record says so
    scheduler: str  # `OWN_SCHEDULER`: the one in the model's own files
    sketch_steps: int  # 0 = an even way
    strength: float  # 1 without a start picture
    mask_feather: int  # px of the start picture
    model_sha256: str  # of everything of the model that is loaded, see `models.identity`

    def __post_init__(self) -> None:
        missing = [field.words for field in FIELDS if getattr(self, field.name) is None]
        if missing:
            raise RequestError(f"not decided: {', '.join(missing)}; see generation.resolve")
        super().__post_init__()

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Inverse of `to_dict`, also of one that was written before a field was there. Raises `RequestError`."""
        before = {field.name: field.otherwise for field in FIELDS if field.from_model}
        return super().from_dict({**before, **values})

    def wish(self) -> GenerationRequest:
        """The wish for this very picture, as a record keeps it: its contents are remembered, and not insisted on."""
        return GenerationRequest(**{field.name: getattr(self, field.name) for field in FIELDS})
