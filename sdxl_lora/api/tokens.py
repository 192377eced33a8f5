"""Bearer tokens: made, listed and revoked by name, kept as hashes in `api_tokens.json` of the data folder.

A token is 256 random bits, so one SHA-256 of it is as good as a slow hash would be, and its loss tells nobody the
token. The file is read again when it has changed: a revoked token is refused from the next request on.
"""

import hashlib
import hmac
import json
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sdxl_lora import files, plain_json
from sdxl_lora.errors import InputError, NotFoundError, StorageError

FILE = "api_tokens.json"
PREFIX = "sk-sdxl-"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Token:
    """One token, without what would let anybody in."""

    name: str  # of the program or person that has it; jobs and limits are by name
    sha256: str  # hex
    created_at: str  # ISO 8601, UTC


class Tokens:
    """The tokens of one data folder. Every method raises `StorageError` where the file cannot be used."""

    def __init__(self, home: Path) -> None:
        self.path = home / FILE
        self._read: tuple[tuple[int, int, int] | None, tuple[Token, ...]] = (None, ())

    def all(self) -> tuple[Token, ...]:
        """Oldest first."""
        state = self._state()
        if state is None:
            return ()
        if state != self._read[0]:
            self._read = (state, self._load())
        return self._read[1]

    def make(self, name: str) -> str:
        """A new token of that name, which is told once and never again. Raises `InputError`."""
        if _NAME.fullmatch(name) is None:
            raise InputError(
                f"a token cannot be named {name[:60]!r}; use up to 40 of a-z, 0-9, '.', '_', '-', a letter or digit"
                " first"
            )
        if any(token.name == name for token in self.all()):
            raise InputError(f"there is a token named {name!r}; revoke it first, or choose another name")
        secret = PREFIX + secrets.token_urlsafe(32)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._save((*self.all(), Token(name=name, sha256=_hash(secret), created_at=now)))
        return secret

    def revoke(self, name: str) -> None:
        """Raises `NotFoundError`."""
        left = tuple(token for token in self.all() if token.name != name)
        if len(left) == len(self.all()):
            known = ", ".join(token.name for token in self.all()) or "none"
            raise NotFoundError(f"there is no token named {name[:60]!r}; there are: {known}")
        self._save(left)

    def find(self, secret: str) -> Token | None:
        """The token, in a time that does not depend on how much of it is right."""
        digest, found = _hash(secret), None
        for token in self.all():
            if hmac.compare_digest(token.sha256, digest):
                found = token
        return found

    def _state(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"cannot read {self.path}: {error.strerror}") from error
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _load(self) -> tuple[Token, ...]:
        """Raises `StorageError` for a damaged file: taken for empty it would let everybody in."""
        try:
            values: Any = plain_json.parse(self.path.read_bytes())
            if values["format"] != _FORMAT:
                raise StorageError(f"{self.path} was written by a newer version of this program; update")
            return tuple(Token(**entry) for entry in values["tokens"])
        except OSError as error:
            raise StorageError(f"cannot read {self.path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{self.path} is damaged; delete it, and make new tokens") from error

    def _save(self, tokens: tuple[Token, ...]) -> None:
        entries = [vars(token) for token in tokens]
        text = json.dumps({"format": _FORMAT, "tokens": entries}, indent=1)
        files.write_atomically(self.path, text.encode())
        with files.storage_errors(self.path):
            self.path.chmod(0o600)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
