"""What tests of `mini/` share: training stages run in the test's own process, and leave its arithmetic as it was."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def denormals() -> Iterator[None]:
    """A stage flushes denormals to zero for its process; other tests of the process want them back."""
    yield
    torch.set_flush_denormal(False)
