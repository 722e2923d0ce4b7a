"""etcd for tests: one member or a cluster, on free ports and in folders of their own, to be killed, paused and restored."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synapsenet_servers.backends.etcd import EtcdMember, EtcdTls, etcd_backend, etcd_program, initial_cluster
from synapsenet_servers.children.launcher import environment
from synapsenet_servers.mesh.ports import free_ports
from tests.backends import end, wait_until_ready

CTL_S = 20.0
LOOPBACK = "127.0.0.1"


class EtcdServer:
    """One member, started and ended at will; what it holds stays until its folder goes."""

    def __init__(self, member: EtcdMember, folder: Path, members: Sequence[EtcdMember], tls: EtcdTls | None) -> None:
        self.member = member
        self.tls = tls
        self.user = ""
        self._folder = folder
        self._members = members
        self._data = folder / member.name
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return self.member.address

    def launch(self) -> None:
        """Start it without waiting: a member of a new cluster is ready only with the others."""
        backend = etcd_backend(self.member, data=self._data, members=self._members, tls=self.tls)
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                backend.argv, cwd=backend.cwd, env=environment(**backend.env), stdout=output, stderr=subprocess.STDOUT
            )

    def wait(self) -> None:
        """Return once it takes requests."""
        assert self._process is not None
        backend = etcd_backend(self.member, data=self._data, members=self._members, tls=self.tls)
        wait_until_ready(backend, self._process, self._log)

    def start(self) -> None:
        self.launch()
        self.wait()

    def stop(self) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGCONT)
            end(self._process)
            self._process = None

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(CTL_S)

    def pause(self) -> None:
        """SIGSTOP, as a host that hangs."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ctl(self, *arguments: str) -> Any:
        """What `etcdctl` answers, as JSON."""
        command = [etcd_program("etcdctl"), "--endpoints", self._url, "--write-out", "json", *self._credentials(), *arguments]
        env = {**os.environ, "ETCDCTL_API": "3"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=CTL_S, env=env, check=False)
        assert done.returncode == 0, f"etcdctl {' '.join(arguments)}: {done.stderr}"
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            return done.stdout

    def revision(self) -> int:
        """Of its store, which grows with each write."""
        return int(self.ctl("endpoint", "status")[0]["Status"]["header"]["revision"])

    def is_leader(self) -> bool:
        status = self.ctl("endpoint", "status")[0]["Status"]
        return bool(status["header"]["member_id"] == status["leader"])

    def keys(self, prefix: str) -> int:
        """How many keys there are below `prefix`."""
        return len(self.ctl("get", "--prefix", "--keys-only", prefix).get("kvs", ()))

    def snapshot(self, path: Path) -> None:
        """Save all it holds to `path`."""
        self.ctl("snapshot", "save", str(path))

    def restore(self, path: Path) -> None:
        """Go back to the snapshot at `path`, as an operator does who lost the members: revisions start there again."""
        self.stop()
        self._data.rename(self._folder / f"{self.member.name}-{time.monotonic_ns()}")
        everyone = initial_cluster(self._members)
        own = ("--name", self.member.name, "--initial-advertise-peer-urls", self.member.peer_url)
        self.ctl("snapshot", "restore", str(path), "--data-dir", str(self._data), "--initial-cluster", everyone, *own)
        self.start()

    def require_users(self, password: str) -> None:
        """Turn authentication on, with the user `root` and this password."""
        self.ctl("user", "add", f"root:{password}")
        self.ctl("user", "grant-role", "root", "root")
        self.ctl("auth", "enable")
        self.user = f"root:{password}"

    @property
    def _log(self) -> Path:
        return self._folder / f"{self.member.name}.log"

    @property
    def _url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.endpoint}"

    def _credentials(self) -> Sequence[str]:
        tls = self.tls
        files = ("--cacert", str(tls.authority), "--cert", str(tls.certificate), "--key", str(tls.key)) if tls else ()
        return (*files, *(("--user", self.user) if self.user else ()))


class EtcdCluster:
    """Several members."""

    def __init__(self, servers: Sequence[EtcdServer]) -> None:
        self.servers = servers

    @property
    def endpoints(self) -> tuple[str, ...]:
        return tuple(server.endpoint for server in self.servers)

    def leader(self) -> EtcdServer:
        """The member that leads now; all must run."""
        return next(server for server in self.servers if server.is_leader())


@contextmanager
def etcd_server(*, tls: EtcdTls | None = None) -> Iterator[EtcdServer]:
    """One member alone, ready inside the `with`."""
    with tempfile.TemporaryDirectory(prefix="etcd-") as folder:
        (member,) = _members("etcd")
        server = EtcdServer(member, Path(folder), (member,), tls)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def etcd_cluster(size: int = 3, *, tls: EtcdTls | None = None) -> Iterator[EtcdCluster]:
    """`size` members, ready inside the `with`."""
    with tempfile.TemporaryDirectory(prefix="etcd-") as folder:
        members = _members(*(f"etcd-{number}" for number in range(size)))
        servers = [EtcdServer(member, Path(folder), members, tls) for member in members]
        try:
            for server in servers:
                server.launch()
            for server in servers:
                server.wait()
            yield EtcdCluster(servers)
        finally:
            for server in servers:
                server.stop()


def _members(*names: str) -> list[EtcdMember]:
    """Members on ports that are free now, each of them once."""
    ports = iter(free_ports(LOOPBACK, [0] * 3 * len(names)))
    return [EtcdMember(name=name, client_port=next(ports), peer_port=next(ports), metrics_port=next(ports)) for name in names]
