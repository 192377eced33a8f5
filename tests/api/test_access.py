"""Who is let in: this machine while there is no token, and tokens from then on."""

import base64
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from openai import AuthenticationError, OpenAI
from starlette.applications import Starlette

from sdxl_lora.api.access import Access, Caller
from sdxl_lora.api.app import alone
from sdxl_lora.api.problems import Problem
from sdxl_lora.api.tokens import Tokens
from sdxl_lora.errors import InputError, NotFoundError, StorageError
from tests.api.conftest import serving


def asked(access: Access, client: str | None = "127.0.0.1", **headers: str) -> Caller:
    named = {name.replace("_", "-"): value for name, value in {"host": "localhost:8501", **headers}.items()}
    return access.caller(client, [(name.encode(), value.encode()) for name, value in named.items()])


def refused(access: Access, client: str | None = "127.0.0.1", **headers: str) -> int:
    with pytest.raises(Problem) as refusal:
        asked(access, client, **headers)
    assert "\n" not in str(refusal.value)
    return refusal.value.status


@pytest.fixture
def tokens(home: Path) -> Tokens:
    return Tokens(home)


@pytest.fixture
def access(tokens: Tokens) -> Access:
    return Access(tokens)


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8501", "127.0.0.1:80", "[::1]:8501", "me.localhost", "LOCALHOST."]
)
def test_without_any_token_this_machine_is_let_in(access: Access, client: str, host: str) -> None:
    assert asked(access, client, host=host) == Caller("")


@pytest.mark.parametrize("client", ["192.168.1.5", "8.8.8.8", "fe80::1%eth0", None, "no address"])
def test_without_any_token_other_machines_are_not(access: Access, client: str | None) -> None:
    assert refused(access, client) == 401


@pytest.mark.parametrize(
    "header",
    [
        {"x_forwarded_for": "8.8.8.8"},
        {"forwarded": "for=8.8.8.8"},
        {"x_real_ip": "8.8.8.8"},
        {"via": "1.1 p"},
    ],
)
def test_what_a_proxy_passed_on_does_not_come_from_this_machine(
    access: Access, header: dict[str, str]
) -> None:
    assert refused(access, **header) == 401


@pytest.mark.parametrize(
    "host", ["studio.example", "127.0.0.1.example", "", "[::2]", "[", "localhost.example"]
)
def test_a_name_that_was_pointed_here_is_refused(access: Access, host: str) -> None:
    assert refused(access, host=host) == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:3000"},
        {"origin": "http://["},
        {"sec_fetch_site": "cross-site"},
    ],
)
def test_a_page_of_another_site_is_refused(access: Access, headers: dict[str, str]) -> None:
    assert refused(access, **headers) == 403


def test_a_page_of_the_studio_itself_is_let_in(access: Access) -> None:
    assert asked(access, origin="http://localhost:8501", sec_fetch_site="same-origin") == Caller("")


def test_once_there_is_a_token_everybody_needs_one(access: Access, tokens: Tokens) -> None:
    secret = tokens.make("shop")
    assert refused(access) == 401
    assert (
        asked(access, "8.8.8.8", host="studio.example", authorization=f"Bearer {secret}").user == "api:shop"
    )
    assert asked(access, authorization=f"bearer  {secret}") == Caller("shop")
    basic = base64.b64encode(f"anybody:{secret}".encode()).decode()
    assert asked(access, authorization=f"Basic {basic}") == Caller("shop")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic !!",
        "Basic Og==",
        "Digest x",
        "Bearer caf\u00e9",
        "\x00",
    ],
)
def test_a_wrong_token_is_refused_everywhere(access: Access, tokens: Tokens, authorization: str) -> None:
    tokens.make("shop")
    assert refused(access, authorization=authorization) == 401


def test_a_revoked_token_is_refused_from_the_next_request_on(access: Access, home: Path) -> None:
    others = Tokens(home)  # as the command line has them while the server runs
    secret, kept = others.make("shop"), others.make("other")
    assert asked(access, authorization=f"Bearer {secret}") == Caller("shop")
    others.revoke("shop")
    assert refused(access, authorization=f"Bearer {secret}") == 401
    assert asked(access, authorization=f"Bearer {kept}") == Caller("other")


def test_what_is_kept_of_a_token_lets_nobody_in(tokens: Tokens) -> None:
    secret = tokens.make("shop")
    text = tokens.path.read_text()
    assert secret not in text
    assert secret.removeprefix("sk-sdxl-") not in text
    assert stat.S_IMODE(tokens.path.stat().st_mode) == 0o600
    assert len(secret) > 40


@pytest.mark.parametrize("name", ["", "A", "a b", "../x", "x" * 41, "-x", "a\n"])
def test_a_name_that_is_none_is_refused(tokens: Tokens, name: str) -> None:
    with pytest.raises(InputError, match="cannot be named"):
        tokens.make(name)


def test_names_are_used_once_and_only_known_ones_are_revoked(tokens: Tokens) -> None:
    tokens.make("shop")
    with pytest.raises(InputError, match="there is a token named 'shop'"):
        tokens.make("shop")
    with pytest.raises(NotFoundError, match="there are: shop"):
        tokens.revoke("shopp")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 1}', '{"format": 2, "tokens": []}', '{"format": 1, "tokens": [{}]}']
)
def test_a_damaged_file_lets_nobody_in(access: Access, tokens: Tokens, home: Path, text: str) -> None:
    home.mkdir(parents=True)
    tokens.path.write_text(text)
    with pytest.raises(StorageError):
        asked(access)


# ------------------------------------------------------------------ over the wire


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Starlette]]:
    """(address, token, application) of a server with a token."""
    home = tmp_path_factory.mktemp("guarded")
    secret = Tokens(home).make("shop")
    app = alone(home)
    with serving(app) as address:
        yield address, secret, app


def test_the_official_client_is_told_that_its_key_is_wrong(guarded: tuple[str, str, Starlette]) -> None:
    address, secret, _ = guarded
    with OpenAI(base_url=f"{address}/v1", api_key="sk-wrong", max_retries=0) as client:
        with pytest.raises(AuthenticationError, match="this token is not known"):
            client.images.generate(prompt="a cap")
        assert client.with_options(api_key=secret).models.list().data


def test_only_health_and_the_document_are_told_to_everybody(guarded: tuple[str, str, Starlette]) -> None:
    address, _, _ = guarded
    document = requests.get(f"{address}/openapi.json", timeout=10).json()
    told = {
        (method, path)
        for path, methods in document["paths"].items()
        for method in methods
        if requests.request(method, address + path.replace("{id}", "x"), timeout=10).status_code != 401
    }
    assert told == {("get", "/healthz"), ("get", "/openapi.json")}
    refusal = requests.get(f"{address}/v1/models", timeout=10)
    assert refusal.headers["www-authenticate"].startswith("Bearer")
    assert "access-control-allow-origin" not in refusal.headers
    assert set(json.loads(refusal.text)) == {"error"}
