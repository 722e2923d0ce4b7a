"""Tokens of an identity provider, whose keys are a file or a URL, at a real server."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from synapsenet.clock import SystemClock
from synapsenet_client import Options, Retries, SynapseNetError, Tls, connect_async
from tests.secured_server import SecuredServer, secured_server

ISSUER, AUDIENCE = "https://id.example", "synapsenet"
FIRST = ECKey.generate_key("P-256", {"kid": "first", "use": "sig"})
SECOND = ECKey.generate_key("P-256", {"kid": "second", "use": "sig"})


class Provider:
    """Publishes keys over HTTP.

    Attributes:
        keys: what it publishes now.
        redirect: where it sends its callers instead.
        asked: how often it was asked.
    """

    def __init__(self) -> None:
        self.keys = [FIRST]
        self.redirect = ""
        self.asked = 0
        self.url = ""


@contextmanager
def provider() -> Iterator[Provider]:
    published = Provider()

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            published.asked += 1
            self.send_response(302 if published.redirect else 200)
            if published.redirect:
                self.send_header("Location", published.redirect)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": [key.as_dict(private=False) for key in published.keys]}).encode())

        def log_message(self, *_: Any) -> None:
            """Nothing: the test's output is for the test."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        published.url = f"http://127.0.0.1:{server.server_port}/keys"
        yield published
        server.shutdown()
        thread.join()


def token(key: ECKey = FIRST, scope: str = "models:read", lasting_s: int = 60) -> str:
    now = int(SystemClock().now().timestamp())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now + lasting_s, "scope": scope}
    return jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key)


async def ask(server: SecuredServer, text: str) -> str:
    folder = server.certificates
    tls = Tls(ca=folder / "ca.pem", certificate=folder / "client.pem", key=folder / "client.key")
    options = Options(timeout=10, tls=tls, token=text, retries=Retries(attempts=1))
    try:
        async with connect_async(server.address, options=options) as client:
            return (await client.models.get("m")).name
    except SynapseNetError as refusal:
        return refusal.reason


async def test_whoever_the_provider_vouches_for_may_do_what_it_says(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with provider() as published:
        async with secured_server(tmp_path, jwks=published.url, issuer=ISSUER, audience=AUDIENCE) as server:
            assert await ask(server, token()) == "m"
            assert await ask(server, token(scope="openid features:admin")) == "SCOPE_MISSING"
            assert await ask(server, token(lasting_s=-60)) == "TOKEN_EXPIRED"
            assert await ask(server, token(SECOND)) == "TOKEN_UNKNOWN"
            _, own = await server.token("models:read")
            assert await ask(server, own) == "m"
    assert published.asked == 1
    assert "'alice'" in caplog.text
    assert "eyJ" not in caplog.text


async def test_a_provider_that_exchanges_its_keys_needs_nobodys_help(tmp_path: Path) -> None:
    with provider() as published:
        settings: dict[str, Any] = {
            "jwks": published.url,
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "jwks_shortest_refresh_s": 0.2,
        }
        async with secured_server(tmp_path, **settings) as server:
            assert await ask(server, token()) == "m"
            published.keys = [SECOND]
            await asyncio.sleep(0.25)
            assert await ask(server, token(SECOND)) == "m"
            assert await ask(server, token()) == "TOKEN_UNKNOWN"


async def test_a_redirect_leads_nowhere(tmp_path: Path) -> None:
    with provider() as published, provider() as elsewhere:
        published.redirect = elsewhere.url
        async with secured_server(tmp_path, jwks=published.url, issuer=ISSUER, audience=AUDIENCE) as server:
            assert await ask(server, token()) == "KEY_SET_AWAY"
        assert elsewhere.asked == 0


async def test_the_keys_may_lie_in_a_file_that_is_replaced(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [FIRST.as_dict(private=False)]}))
    settings: dict[str, Any] = {"jwks": str(keys), "issuer": ISSUER, "audience": AUDIENCE, "jwks_shortest_refresh_s": 0.2}
    async with secured_server(tmp_path, **settings) as server:
        assert await ask(server, token()) == "m"
        keys.write_text(json.dumps({"keys": [SECOND.as_dict(private=False)]}))
        await asyncio.sleep(0.25)
        assert await ask(server, token(SECOND)) == "m"
        keys.unlink()
        await asyncio.sleep(0.25)
        assert await ask(server, token(SECOND)) == "m"


async def test_without_a_provider_its_tokens_are_no_tokens(tmp_path: Path) -> None:
    async with secured_server(tmp_path) as server:
        assert await ask(server, token()) == "TOKEN_MALFORMED"
