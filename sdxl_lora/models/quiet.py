"""Keeps the libraries from drawing bars and repeating warnings that mean nothing to a user.

Only what is named is dropped, only while it is known to come, and only from the loggers that say it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

_EXPECTED = (
    "truncated because CLIP",  # long prompts: this project shows a token count instead
    "Token indices sequence length",
    "should be kept in float32: []",  # of a network in which none need to be
    "image_encoder is not loaded",  # of an IP-Adapter: it is loaded apart, see `cues`
)
_LOGGERS = (
    "diffusers.loaders.ip_adapter",
    "diffusers.models.modeling_utils",
    "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
    "diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl",
    "transformers.tokenization_utils_base",
)


class _DropExpected(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not any(part in str(record.msg) for part in _EXPECTED)


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, no progress bars of diffusers and transformers, and none of the expected warnings."""
    drop = _DropExpected()
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    libraries = (diffusers_logging, transformers_logging)
    with_bars = [library for library in libraries if library.is_progress_bar_enabled()]
    for logger in loggers:
        logger.addFilter(drop)
    for library in with_bars:
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library in with_bars:
            library.enable_progress_bar()
        for logger in loggers:
            logger.removeFilter(drop)
