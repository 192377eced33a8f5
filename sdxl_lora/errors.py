"""Every error this project raises on purpose.

    StudioError                 one line for the user: what is wrong, and what to do
    |-- InputError              something the user gave is wrong (command line: exit 2)
    |   |-- PromptError         empty, too long or unprintable prompt; unknown template or slot
    |   |-- RequestError        a number or size of a request is out of range
    |   |   `-- MemoryLimitError    it needs more memory than the device has, at least now
    |   |-- UnknownNameError    no model, template, metric ... of that name (the nearest is named)
    |   |-- NotFoundError       no picture, evaluation or comparison of that id: deleted, or never there
    |   |-- ImageError          a picture that cannot be read or used
    |   |-- LogoError           a logo that cannot be read, or not be placed where it is wanted
    |   |-- DataError           a training or evaluation data set that cannot be used
    |   `-- LoraError           a LoRA file that cannot be read, or belongs to another architecture
    |-- ModelUnavailableError   the model is known, but its weights are not here and cannot be had
    |-- StorageError            the data folder is read-only, full or damaged
    |-- ProvenanceError         a picture that cannot be signed, or a certificate that cannot be used
    |-- LeaseLostError          another process goes on with this job
    |-- MachineLostError        the machine of a cluster that drew this is gone; another goes on
    |-- api.problems.Problem    a request over HTTP that is refused: no token, too much, of another form
    |-- TrainingError           a training run that cannot start or go on
    `-- Cancelled               the user asked to stop; not a failure

Messages are one line, end without a traceback, and say what to do next. Nothing here imports anything.
"""

import difflib
from collections.abc import Iterable


class StudioError(Exception):
    """Root of the tree; `str(error)` is one line that may be shown to a user as it is."""


class InputError(StudioError):
    """Something the user gave is wrong; the command line exits with 2."""


class PromptError(InputError):
    """A prompt, template or slot that cannot be used."""


class RequestError(InputError):
    """A number, size or seed out of range."""


class MemoryLimitError(RequestError):
    """More memory is needed than the device has now; it may have it later, or for a smaller size."""


class ImageError(InputError):
    """A picture that cannot be read or used."""


class LogoError(InputError):
    """A logo that cannot be read, or not be placed where it is wanted."""


class DataError(InputError):
    """A data set that cannot be used."""


class LoraError(InputError):
    """A LoRA file that cannot be read or does not fit the model."""


class UnknownNameError(InputError):
    """No such model, template, metric ...; names the nearest one that exists."""

    def __init__(self, kind: str, name: str, known: Iterable[str], advice: str = "") -> None:
        choices = {choice.lower(): choice for choice in sorted(known)}
        near = difflib.get_close_matches(name.lower(), choices, n=1, cutoff=0.4)
        hint = f"did you mean {choices[near[0]]!r}?" if near else "known: " + ", ".join(choices.values())
        super().__init__(f"no {kind} named {name!r}; {hint}" + (f" {advice}" if advice else ""))


class NotFoundError(InputError):
    """Nothing of that id is kept: it was deleted, perhaps by another tab or process, or was never there."""


class ModelUnavailableError(StudioError):
    """A known model whose weights are not on this machine and could not be fetched."""


class StorageError(StudioError):
    """The data folder cannot be read or written."""


class ProvenanceError(StudioError):
    """A picture cannot be signed, or the certificate for it cannot be used."""


class LeaseLostError(StudioError):
    """Another process has taken this job over; nothing more of it may be recorded here."""


class MachineLostError(StudioError):
    """The machine of a cluster that drew this is gone, or its process was ended."""


class TrainingError(StudioError):
    """A training run that cannot start or continue."""


class Cancelled(StudioError):
    """The user asked to stop."""
