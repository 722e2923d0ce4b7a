"""`synapsenet certs`, `synapsenet tokens`, and every other command with the credentials that they make."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from synapsenet.platform.tokens import split
from synapsenet_cli.main import main
from tests.live import CLI
from tests.postgres_server import RunningPostgres, postgres_server
from tests.secured_server import SecuredServer, secured_server


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Ended]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """A command in this process, which has its world already."""

    def command(*arguments: str | Path) -> Ended:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        return Ended(status, *capfd.readouterr())

    return command


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SecuredServer]:
    async with secured_server(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cluster's configuration, its PostgreSQL running."""
    running: RunningPostgres
    with postgres_server() as running:
        file = tmp_path_factory.mktemp("cluster") / "cluster.toml"
        file.write_text(f'[postgres]\nurl = "{running.url}"\n')
        yield file


def test_certificates_are_made_once_shown_and_renewed(tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "made"
    made = run("certs", "init", "--out", folder, "--host", "mesh.example", "--host", "10.1.2.3", "--days", "30")
    assert made.returncode == 0, made.stderr
    assert f"{folder / 'mesh.pem'}" in made.stdout.splitlines()
    keys = list(folder.glob("*.key"))
    assert len(keys) == 8
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    again = run("certs", "init", "--out", folder)
    assert (again.returncode, "[CERTIFICATES_EXIST]" in again.stderr) == (1, True)
    shown = run("certs", "show", "--dir", folder)
    assert shown.returncode == 0
    for name in ("spiffe://synapsenet/mesh", "spiffe://synapsenet/edge", "mesh.example", "10.1.2.3", "localhost"):
        assert name in shown.stdout
    before = (folder / "mesh.pem").read_bytes(), (folder / "mesh.key").read_bytes()
    assert run("certs", "renew", "--dir", folder, "--days", "3").returncode == 0
    after = (folder / "mesh.pem").read_bytes(), (folder / "mesh.key").read_bytes()
    assert (before[0] != after[0], before[1] == after[1]) == (True, True)
    assert "ends soon" in run("certs", "show", "--dir", folder).stdout
    assert run("certs", "renew", "--dir", folder, "--new-keys").returncode == 0
    assert (folder / "mesh.key").read_bytes() != after[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("init", "--host", "no name!"), "HOST_NAME_INVALID"),
        (("init", "--trust-domain", "Not A Domain"), "SECURITY_OPTION_INVALID"),
        (("show", "--dir", "nowhere"), "CERTIFICATES_MISSING"),
        (("renew", "--dir", "nowhere"), "CERTIFICATES_MISSING"),
    ],
)
def test_what_cannot_be_made_or_found_is_one_sentence(
    arguments: tuple[str, ...], told: str, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = run("certs", *arguments)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert f"[{told}]" in refused.stderr


def test_a_token_is_shown_once_listed_without_its_secret_and_revoked(config: Path, run: Run) -> None:
    made = run("tokens", "create", "--config", config, "--name", "ci", "--scope", "models:read", "--scope", "features:write")
    assert made.returncode == 0, made.stderr
    text = made.stdout.strip()
    parts = split(text)
    assert parts is not None
    public_id, secret = parts
    short = run("tokens", "create", "--config", config, "--name", "short", "--scope", "*:read", "--expires", "90d", "--json")
    assert json.loads(short.stdout)["expires_at"] is not None
    listed = run("tokens", "list", "--config", config)
    assert listed.stdout.splitlines()[1].split() == [public_id, "valid", "ci", "models:read", "features:write"]
    revoked = run("tokens", "revoke", public_id, "--config", config)
    assert (revoked.returncode, "revoked" in revoked.stdout) == (0, True)
    everything = run("tokens", "list", "--config", config, "--json")
    states = {token["name"]: token["revoked_at"] for token in json.loads(everything.stdout)["tokens"]}
    assert (states["ci"] is None, states["short"] is None) == (False, True)
    assert secret not in listed.stdout + everything.stdout + revoked.stdout


def test_wishes_that_make_no_token_are_refused_by_name(config: Path, run: Run) -> None:
    for arguments, told in (
        (("create", "--name", "x", "--scope", "nowhere:read"), "SCOPE_OF_NO_AREA"),
        (("create", "--name", "x", "--scope", "models"), "SCOPE_INVALID"),
        (("create", "--name", "x", "--scope", "models:read", "--expires", "soon"), "TOKEN_EXPIRY_INVALID"),
        (("create", "--name", "x", "--scope", "models:read", "--expires", "2020-01-01T00:00:00Z"), "TOKEN_EXPIRY_PAST"),
        (("revoke", "0" * 16), "TOKEN_NOT_FOUND"),
    ):
        refused = run("tokens", *arguments, "--config", config)
        assert (refused.returncode, f"[{told}]" in refused.stderr) == (1, True), refused.stderr


async def test_any_command_reaches_a_secured_platform_with_files_and_a_token_and_says_what_is_missing(
    server: SecuredServer,
) -> None:
    _, text = await server.token("models:read")
    folder = server.certificates
    files = ("--ca", folder / "ca.pem", "--certificate", folder / "client.pem", "--key", folder / "client.key")
    target = ("--target", server.address)

    async def cli(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [*CLI, *map(str, arguments)]
        env = {**os.environ, **{f"SYNAPSENET_{name.upper()}": value for name, value in environment.items()}}
        return await asyncio.to_thread(
            subprocess.run, command, check=False, capture_output=True, text=True, timeout=60, env=env
        )

    answered = await cli("--json", *target, *files, "models", "get", "m", token=text)
    assert json.loads(answered.stdout)["name"] == "m"
    missing = await cli(*target, *files, "models", "get", "m")
    assert (missing.returncode, "needs a bearer token with the scope models:read" in missing.stderr) == (9, True)
    forbidden = await cli(*target, *files, "models", "create", "m", token=text)
    assert (forbidden.returncode, "needs the scope models:write" in forbidden.stderr) == (10, True)
    plain = await cli(*target, "models", "get", "m", token=text)
    assert (plain.returncode, "it may want TLS" in plain.stderr) == (14, True)
    assert text not in answered.stdout + missing.stderr + forbidden.stderr + plain.stderr
    paths = {"ca": "ca.pem", "certificate": "client.pem", "key": "client.key"}
    answered = await cli(
        "--json",
        *("models", "get", "m"),
        target=server.address,
        token=text,
        **{name: str(folder / file) for name, file in paths.items()},
    )
    assert json.loads(answered.stdout)["name"] == "m"
