"""The keys that an identity provider signs with, from a file or a URL, read again when they are old or lack the one asked for.

Only public keys of asymmetric algorithms are taken: a shared secret in a key set would make everybody who can read the set a
signer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from synapsenet.clock import Clock
from synapsenet.errors import Unavailable
from synapsenet_servers.security.options import SecurityOptions

_log = logging.getLogger(__name__)

PublicKey = RSAKey | ECKey | OKPKey
Keys = Mapping[str, Sequence[PublicKey]]

_KINDS = ("RSA", "EC", "OKP")
_LARGEST_BYTES = 1 << 20
_MOST_KEYS = 100
_TOO_OLD_S = 3_600.0
_SHORTEST_MODULUS = 340  # of RSA with 2048 bits, in base64


class KeySet:
    """The newest keys that could be read; those of an hour ago are no longer used.

    Args:
        read: gives the key set's text; it may block, and is run in a thread.
    """

    def __init__(self, read: Callable[[], bytes], clock: Clock, options: SecurityOptions) -> None:
        self._read = read
        self._clock = clock
        self._max_age_s = options.jwks_max_age_s
        self._shortest_refresh_s = options.jwks_shortest_refresh_s
        self._timeout_s = options.jwks_timeout_s
        self._keys: Keys = {}
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    async def candidates(self, kid: str) -> Sequence[PublicKey]:
        """The keys with this id; without an id (""), all of them.

        Raises:
            Unavailable: KEY_SET_AWAY, there are no keys, or only too old ones.
        """
        if self._is_due(kid):
            async with self._one_at_a_time:
                if self._is_due(kid):
                    await self._refresh()
        if self._clock.monotonic() - self._read_at > _TOO_OLD_S:
            sentence = "the identity provider's keys cannot be read"
            raise Unavailable("KEY_SET_AWAY", sentence, remedy="retry, or use a token of SynapseNet", retry_after=1.0)
        if kid:
            return self._keys.get(kid, ())
        return [key for keys in self._keys.values() for key in keys]

    def _is_due(self, kid: str) -> bool:
        now = self._clock.monotonic()
        if now - self._tried_at < self._shortest_refresh_s:
            return False
        return now - self._read_at > self._max_age_s or bool(kid and kid not in self._keys)

    async def _refresh(self) -> None:
        self._tried_at = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):
                text = await asyncio.to_thread(self._read)
            self._keys = _parsed(text)
            self._read_at = self._tried_at
        except (OSError, ValueError, HTTPException) as problem:
            told = str(problem) or type(problem).__name__  # a timeout has no words
            _log.warning("the identity provider's keys cannot be read, those of before stay: %s", told)


def open_key_set(options: SecurityOptions, clock: Clock) -> KeySet:
    """The key set that the options name."""
    where, timeout = options.jwks, options.jwks_timeout_s
    if where.startswith(("http://", "https://")):
        return KeySet(lambda: _fetched(where, timeout), clock, options)
    return KeySet(lambda: _bounded(Path(where)), clock, options)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Keys come from where the operator said, and from nowhere that it points to."""

    def redirect_request(self, *_arguments: Any, **_named: Any) -> None:
        return None


def _fetched(url: str, timeout: float) -> bytes:
    opener = urllib.request.build_opener(_NoRedirect)
    with opener.open(url, timeout=timeout) as answer:
        text: bytes = answer.read(_LARGEST_BYTES + 1)
    return text


def _bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LARGEST_BYTES + 1)


def _parsed(text: bytes) -> Keys:
    if len(text) > _LARGEST_BYTES:
        raise ValueError(f"the key set has more than {_LARGEST_BYTES} bytes")
    tree = json.loads(text)
    listed = tree.get("keys") if isinstance(tree, dict) else None
    if not isinstance(listed, list):
        raise ValueError('it is no JSON Web Key Set: {"keys": […]}')
    keys: dict[str, list[PublicKey]] = {}
    for data in listed[:_MOST_KEYS]:
        if (key := _public_key(data)) is not None:
            keys.setdefault(str(data.get("kid", "")), []).append(key)
    if not keys:
        raise ValueError("it has no public key to check signatures with")
    return keys


def _public_key(data: Any) -> PublicKey | None:
    """The key, or None for one that signatures are not checked with; private parts are left behind."""
    if not isinstance(data, dict) or data.get("kty") not in _KINDS or data.get("use", "sig") != "sig":
        return None
    if data["kty"] == "RSA" and len(str(data.get("n", ""))) < _SHORTEST_MODULUS:
        return None
    try:
        key = JWKRegistry.import_key(data)
        public = JWKRegistry.import_key(key.as_dict(private=False))
    except (JoseError, ValueError, TypeError, KeyError) as problem:
        _log.warning("a key of the identity provider is not used: %s", type(problem).__name__)
        return None
    return public if isinstance(public, RSAKey | ECKey | OKPKey) else None
