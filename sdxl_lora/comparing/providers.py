"""Pictures of other companies' systems, through their official Python clients and with the user's own key.

    openai   OpenAI Images API
    google   Gemini image models, which took Imagen's place in August 2026; names that begin with `imagen` are
             asked for as Imagen (Agent Platform), for those who can still reach one

A key is given to the client and to nothing else: it is in no record, no log and no message. Both clients take
another address from the environment (`OPENAI_BASE_URL`, `GOOGLE_GEMINI_BASE_URL`, `GOOGLE_VERTEX_BASE_URL`).
Each picture costs the user money: nothing is asked twice that was answered. Knows nothing of comparisons.
"""

import base64
import binascii
import importlib.util
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sdxl_lora.errors import ModelUnavailableError

SIDE = 1_024  # px
TIMEOUT = 300.0  # seconds for one picture
RETRIES = 2  # after a busy answer, by the client, with growing pauses
INSTALL = "pip install -r requirements-extra.txt"


class Refused(Exception):
    """The provider answered without a picture; why, in one line."""


class Provider(Protocol):
    """One prompt -> the bytes of one picture file."""

    def picture(self, prompt: str) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class Service:
    """What is known of a provider without asking it."""

    key: Literal["openai", "google"]
    title: str
    package: str  # module of its client
    default_model: str
    variables: tuple[str, ...]  # of the environment that may hold the user's key, first one first
    open: Callable[[str, str], Provider]  # model, key


def open_provider(kind: str, model: str, key: str | None = None) -> Provider:
    """The provider, ready to draw. `key`: the user's; None takes it from the environment.

    Raises `ModelUnavailableError` without a key or without the client's package.
    """
    service = SERVICES[kind]
    if not installed(kind):
        raise ModelUnavailableError(f"{service.title}: its client is not installed; {INSTALL}")
    key = (key or key_from_environment(kind)).strip()
    if not key:
        raise ModelUnavailableError(f"{service.title}: no key; set {service.variables[0]} to your own")
    if not key.isascii() or not key.isprintable():
        raise ModelUnavailableError(f"{service.title}: the key holds characters no key has; copy it again")
    return service.open(model, key)


def installed(kind: str) -> bool:
    """Whether the client of this provider can be imported."""
    names = [SERVICES[kind].package, "httpx2"]
    try:
        return all(importlib.util.find_spec(name) is not None for name in names)
    except ModuleNotFoundError:  # the parent of `google.genai`
        return False


def key_from_environment(kind: str) -> str:
    """The user's key, "" if there is none."""
    return next((key for name in SERVICES[kind].variables if (key := os.environ.get(name, ""))), "")


class OpenAIPictures:
    """OpenAI Images API, `images.generate`, one square picture."""

    def __init__(self, model: str, key: str) -> None:
        import openai

        self._model = model
        self._hide = _Hide(key)
        self._client = openai.OpenAI(api_key=key, timeout=TIMEOUT, max_retries=RETRIES)

    def picture(self, prompt: str) -> bytes:
        """PNG, JPEG or WebP. Raises `Refused`, `ModelUnavailableError`."""
        import openai

        try:
            answer = self._client.images.generate(
                model=self._model, prompt=prompt, n=1, size=f"{SIDE}x{SIDE}"
            )
        except openai.BadRequestError as error:
            raise Refused(self._hide(f"OpenAI refused the prompt: {error.message}")) from None
        except openai.APIStatusError as error:
            raise _unavailable("OpenAI", error.status_code, self._hide(error.message), self._model) from None
        except openai.APIError as error:
            raise ModelUnavailableError(
                f"OpenAI cannot be reached ({self._hide(error.message)}); what was made is kept, try again"
            ) from None
        encoded = answer.data[0].b64_json if answer.data else None
        return _decoded(encoded, "OpenAI")


class GooglePictures:
    """Google's image models: `generate_content`, or `generate_images` for Imagen."""

    def __init__(self, model: str, key: str) -> None:
        import httpx2
        from google import genai
        from google.genai import types

        self._model = model
        self._hide = _Hide(key)
        self._imagen = model.startswith("imagen")
        self._transport = httpx2.HTTPError
        options = types.HttpOptions(
            timeout=int(TIMEOUT * 1000),  # ms
            retry_options=types.HttpRetryOptions(attempts=1 + RETRIES),
            httpx_client=httpx2.Client(timeout=TIMEOUT),
        )
        self._client = genai.Client(api_key=key, vertexai=self._imagen, http_options=options)

    def picture(self, prompt: str) -> bytes:
        """PNG, JPEG or WebP. Raises `Refused`, `ModelUnavailableError`."""
        from google.genai import errors

        try:
            return self._of_imagen(prompt) if self._imagen else self._of_gemini(prompt)
        except errors.APIError as error:
            message = self._hide(error.message or error.status or "")
            if error.code == 400 and "key" not in message.lower():  # a wrong key is a 400 here
                raise Refused(f"Google refused the prompt: {message}") from None
            raise _unavailable(
                "Google", 401 if error.code == 400 else error.code, message, self._model
            ) from None
        except self._transport as error:
            raise ModelUnavailableError(
                f"Google cannot be reached ({self._hide(str(error))}); what was made is kept, try again"
            ) from None

    def _of_gemini(self, prompt: str) -> bytes:
        from google.genai import types

        answer = self._client.models.generate_content(
            model=self._model,
            contents=prompt,
            config=types.GenerateContentConfig(
                response_modalities=["IMAGE"], image_config=types.ImageConfig(aspect_ratio="1:1")
            ),
        )
        feedback = answer.prompt_feedback
        if feedback is not None and feedback.block_reason is not None:
            raise Refused(f"Google refused the prompt: {feedback.block_reason.value}")
        for candidate in answer.candidates or ():
            for part in (candidate.content.parts if candidate.content else None) or ():
                if part.inline_data is not None and part.inline_data.data:
                    return part.inline_data.data
            if candidate.finish_reason is not None:
                raise Refused(f"Google made no picture: {candidate.finish_reason.value}")
        raise Refused("Google answered without a picture")

    def _of_imagen(self, prompt: str) -> bytes:
        from google.genai import types

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that Imagen is deprecated: said in the documentation above
            answer = self._client.models.generate_images(
                model=self._model,
                prompt=prompt,
                config=types.GenerateImagesConfig(
                    number_of_images=1, aspect_ratio="1:1", include_rai_reason=True
                ),
            )
        for found in answer.generated_images or ():
            if found.image is not None and found.image.image_bytes:
                return found.image.image_bytes
            if found.rai_filtered_reason:
                raise Refused(f"Google made no picture: {found.rai_filtered_reason}")
        raise Refused("Google answered without a picture")


SERVICES: Mapping[str, Service] = {
    "openai": Service(
        key="openai",
        title="OpenAI",
        package="openai",
        default_model="gpt-image-2.5-sunburst",  # what the client names in the place of the retired DALL-E 3
        variables=("OPENAI_API_KEY",),
        open=OpenAIPictures,
    ),
    "google": Service(
        key="google",
        title="Google",
        package="google.genai",
        default_model="gemini-3.1-flash-image",
        variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        open=GooglePictures,
    ),
}


class _Hide:
    """Takes the key out of what a server said, should it repeat it; shows nothing of itself."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, message: str) -> str:
        return " ".join(message.replace(self._key, "***").split())[:300]

    def __repr__(self) -> str:
        return "_Hide(***)"


def _unavailable(title: str, status: int, message: str, model: str) -> ModelUnavailableError:
    """What to do about an answer that is an error; what was made before is kept in every case."""
    if status in (401, 403):
        return ModelUnavailableError(f"{title} does not accept this key ({status}); check it")
    if status == 404:
        return ModelUnavailableError(f"{title} has no model {model!r} for this key; choose another")
    if status == 429:
        return ModelUnavailableError(
            f"{title}: too many requests, or no credit left ({message}); what was made is kept, try again later"
        )
    return ModelUnavailableError(f"{title} answered {status} ({message}); what was made is kept, try again")


def _decoded(encoded: Any, title: str) -> bytes:
    if not encoded:
        raise Refused(f"{title} answered without a picture")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(f"{title} sent a picture that cannot be decoded") from None
