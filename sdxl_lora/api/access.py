"""Who asks, and whether they may: tokens, and what stands in for them on this machine alone.

Without any token made, requests of this machine are let in and all others refused. Once there is one, everybody needs
one: a reverse proxy in front of the studio makes everybody look as if they were on this machine. What is let in without
a token must name this machine in its `Host` (or a web page whose name was pointed here after it was loaded could read
the answers, DNS rebinding) and must not come from another site's page (cross-site request forgery: a form needs no
permission to send).
"""

import base64
import binascii
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from sdxl_lora.api.problems import Problem
from sdxl_lora.api.tokens import Tokens

_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "x-forwarded-host", "via")
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="sdxl-lora"'}


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    name: str  # of the token; "" = somebody on this machine, without one

    @property
    def user(self) -> str:
        """What jobs and records say of who asked; no browser session looks like it."""
        return f"api:{self.name}" if self.name else "api"


class Access:
    """Says who sends a request, or raises the `Problem` it is refused with."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def caller(self, client: str | None, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """Raises `Problem` 401, 403 or 421, `StorageError`.

        Args:
            client: address of the other end; None = not known.
            headers: of the request, names in small letters.
        """
        said = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        if self._tokens.all():
            return self._by_token(said.get("authorization", ""))
        if not _is_here(client) or any(name in said for name in _FORWARDED):
            raise Problem(
                401,
                "other machines need a token; make one where the studio runs: python -m sdxl_lora tokens make NAME",
                code="no_token",
                headers=_CHALLENGE,
            )
        if not _is_here(_host_of(f"//{said.get('host', '')}")):
            raise Problem(
                421,
                "without a token the studio is called by the name of this machine: localhost or 127.0.0.1",
                code="wrong_host",
            )
        origin = said.get("origin")
        other_site = origin is not None and _place(origin) != _place(f"http://{said.get('host', '')}")
        if other_site or said.get("sec-fetch-site") == "cross-site":
            raise Problem(403, "a page of another site may not use the studio", code="cross_site")
        return Caller("")

    def _by_token(self, authorization: str) -> Caller:
        scheme, _, given = authorization.strip().partition(" ")
        secret = given.strip()
        if scheme.lower() == "basic":  # what clients of AUTOMATIC1111 send; the name says nothing
            try:
                secret = base64.b64decode(secret, validate=True).decode("latin-1").partition(":")[2]
            except (binascii.Error, ValueError):
                secret = ""
        elif scheme.lower() != "bearer":
            secret = ""
        token = self._tokens.find(secret) if secret else None
        if token is None:
            message = "this token is not known" if secret else "a token is needed"
            raise Problem(
                401,
                f"{message}; send the header 'Authorization: Bearer TOKEN'",
                code="invalid_api_key",
                headers=_CHALLENGE,
            )
        return Caller(token.name)


def is_loopback(host: str) -> bool:
    """Whether a server bound to `host` is reached from this machine alone."""
    return _is_here(host)


def _is_here(host: str | None) -> bool:
    """Whether an address or name means this machine."""
    if host is None:
        return False
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _host_of(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _place(address: str) -> tuple[str | None, int | None]:
    """(name, port) of an address; (None, None) of what is none, such as the origin "null"."""
    try:
        parts = urlsplit(address)
        return parts.hostname, parts.port
    except ValueError:
        return None, None
