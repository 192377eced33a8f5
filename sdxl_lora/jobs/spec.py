"""What a job is asked for: a request, how hard to try, how urgent it is, and for whom. JSON both ways.

Whoever wants pictures (a page, the command line, a comparison) says it in a `JobSpec`, and nothing else.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Self, get_args

from sdxl_lora.errors import RequestError, UnknownNameError
from sdxl_lora.request import GenerationRequest, ResolvedRequest
from sdxl_lora.search import Policy
from sdxl_lora.search.levels import LEVELS

Kind = Literal["pictures", "training"]
Priority = Literal["interactive", "batch"]
PRIORITIES: Final[tuple[Priority, ...]] = get_args(Priority)  # in the order they are served


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How hard to try; without arguments: each picture is drawn once. Raises `InputError`."""

    level: str = ""  # of `search.levels`; "" = "standard", where one of the others is given
    min_score: float | None = None  # score that is good enough; None = the calibration's
    max_attempts: int | None = None  # budget per picture, in whole pictures; None = the level's

    def __post_init__(self) -> None:
        if self.level and self.level not in LEVELS:
            raise UnknownNameError("level", self.level, LEVELS)
        Policy(threshold=self.min_score, max_attempts=1 if self.max_attempts is None else self.max_attempts)

    @property
    def searches(self) -> bool:
        """Whether the best of several attempts is wanted."""
        return self != Effort()


@dataclass(frozen=True, kw_only=True)
class TrainingWish:
    """A LoRA that is to be trained."""

    name: str  # for people
    settings: tuple[tuple[str, str | int | float | bool], ...]  # fields of `training.config.TrainingConfig`

    def __getitem__(self, name: str) -> str | int | float | bool:
        """One setting. Raises `KeyError` where it is left to its default."""
        return dict(self.settings)[name]


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """Everything that decides what a job makes, and when."""

    request: GenerationRequest  # of a training: what its validation draws first, with its model
    effort: Effort = Effort()
    priority: Priority = "interactive"  # a batch waits as long as anybody sits and waits
    user: str = ""  # turns are taken between users: the browser session; "" = the command line
    group: str = ""  # jobs of one group were asked for together and are shown side by side; "" = alone
    idempotency_key: str = ""  # the same key of the same user is the same job; "" = always a new one
    training: TrainingWish | None = None  # instead of pictures

    @property
    def kind(self) -> Kind:
        """What comes of it."""
        return "training" if self.training else "pictures"

    def __post_init__(self) -> None:
        if self.priority not in PRIORITIES:
            raise UnknownNameError("priority", str(self.priority), PRIORITIES)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` gives an equal spec back."""
        training = self.training
        told = {"name": training.name, "settings": dict(training.settings)} if training else None
        return {
            **({"training": told} if told else {}),
            "request": self.request.to_dict(),
            "resolved": isinstance(self.request, ResolvedRequest),
            "effort": asdict(self.effort),
            "priority": self.priority,
            "user": self.user,
            "group": self.group,
            "idempotency_key": self.idempotency_key,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Inverse of `to_dict`. Raises `InputError` on what is no spec."""
        try:
            given = dict(values)
            kind = ResolvedRequest if given.pop("resolved", False) else GenerationRequest
            request, effort = kind.from_dict(given.pop("request")), Effort(**given.pop("effort", {}))
            if (told := given.pop("training", None)) is not None:
                given["training"] = TrainingWish(name=told["name"], settings=tuple(told["settings"].items()))
            return cls(request=request, effort=effort, **given)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RequestError(f"this is no job: {error}") from error
