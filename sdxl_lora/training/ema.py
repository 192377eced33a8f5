"""Moving average of trained parameters, in fp32.

`torch.optim.swa_utils.AveragedModel` would copy the whole module, frozen weights and all, in the parameters' own type.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import Parameter


class MovingAverage:
    """`average <- decay average + (1 - decay) parameter`, with a short warm-up so that early values fade."""

    def __init__(self, parameters: Iterable[tuple[str, Parameter]], decay: float) -> None:
        self._parameters = dict(parameters)
        self.decay, self.updates = decay, 0
        self._average = {
            name: parameter.detach().float().clone() for name, parameter in self._parameters.items()
        }

    @torch.no_grad()
    def update(self) -> None:
        """Call after every update of the parameters."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, parameter in self._parameters.items():
            self._average[name].lerp_(parameter.detach().float(), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The parameters hold the average inside, and what they held before, bit for bit, after."""
        with kept(self._parameters.values()), torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(self._average[name])
            yield

    def state(self) -> dict[str, Tensor]:
        return {name: value.cpu().clone() for name, value in self._average.items()}

    def load_state(self, state: Mapping[str, Tensor], updates: int) -> None:
        for name, value in self._average.items():
            value.copy_(state[name])
        self.updates = updates


@contextmanager
def kept(parameters: Iterable[Parameter]) -> Iterator[None]:
    """Whatever happens to the parameters inside, afterwards they are as before, bit for bit."""
    pairs = [(parameter, parameter.detach().clone()) for parameter in parameters]
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value in pairs:
                parameter.copy_(value)
