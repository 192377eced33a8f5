"""What there is to say of one field of a request, said once; `wish.GenerationRequest` is the table of them."""

import dataclasses
from dataclasses import MISSING, dataclass
from typing import Any, Literal

from sdxl_lora.request.kinds import Kind

_KEY = "request field"  # in a dataclass field's metadata

Group = Literal["", "words", "settings", "expert"]


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a request. Flags, settings, forms, metadata, differences, keys and the schema are made from it."""

    kind: Kind
    label: str  # in the form, and before a difference
    help: str  # one or two sentences for people
    name: str = ""  # in the request; filled in by `table`
    unit: str = ""
    default: Any = None  # None: decided when the request is resolved
    from_model: bool = False  # None becomes what `models.registry.ModelDefaults` has under this name
    otherwise: Any = None  # what None becomes where nothing else decides
    flag: str = ""  # of `generate` and `edit`; its setting is SDXL_LORA_ and the flag's name; "" = none
    flag_help: str = ""  # shorter than `help`
    metavar: str = ""
    a1111: str = ""  # key in AUTOMATIC1111's parameters; two fields of one key are written as 640x480
    group: Group = (
        ""  # where in the form: "words" above, "settings" and "expert" under Fine-tune; "" = nowhere
    )
    latents: bool = True  # False: only who is told of it, or what comes after decoding, depends on it
    of_start: bool = False  # says something of the picture that is begun from: a flag of `edit` only
    wished: bool = True  # False: another value is no other wish, as of seeds

    @property
    def words(self) -> str:
        """Its name in an error."""
        return self.name.replace("_", " ")

    @property
    def open(self) -> bool:
        """Whether it may be None."""
        return self.default is None

    @property
    def setting(self) -> str:
        """The environment variable that is its flag's default; "" = none."""
        plain = self.flag.removeprefix("--").replace("-", "_").upper()
        return f"SDXL_LORA_{plain}" if plain and not self.kind.repeatable else ""


def declared(kind: Kind, *, default: Any = None, **facts: Any) -> Any:
    """A dataclass field of a request; arguments are those of `Field`. `default=MISSING`: it must be given."""
    spec = Field(kind=kind, default=default, **facts)
    return dataclasses.field(default=default, metadata={_KEY: spec})


def table(request: type) -> tuple[Field, ...]:
    """The declared fields of a request's class in its order, and after them those of its bases."""
    own_first = sorted(
        dataclasses.fields(request), key=lambda field: field.name not in request.__annotations__
    )
    found = ((f.name, f.metadata.get(_KEY)) for f in own_first)
    return tuple(dataclasses.replace(spec, name=name) for name, spec in found if spec is not None)


__all__ = ["MISSING", "Field", "Group", "declared", "table"]
