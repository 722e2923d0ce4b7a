"""The processes of jobs on this host, under the platform's supervisor."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import synapsenet
import synapsenet_api
import synapsenet_servers
from synapsenet.errors import FailedPrecondition
from synapsenet.training.ports import Ended, Launch, Process, Processes, ProcessKind
from synapsenet_servers.children import launcher
from synapsenet_servers.children.child import Child, ChildSpec, Exit
from synapsenet_servers.children.supervisor import Supervisor
from synapsenet_servers.roles.control_stream import TOKEN_VARIABLE

_MODULES = {
    ProcessKind.PARAMETER_SERVER: "synapsenet_servers.roles.parameter_server",
    ProcessKind.WORKER: "synapsenet_servers.roles.training_worker",
}
_SOCKET_PATH_LIMIT = 100  # the kernel takes 107 bytes

# Many small processes share the cores: threads of the linear algebra would only get into each other's way.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_IO_THREADS"), "1")


class LocalProcess(Process):
    """A child of the supervisor; once it has ended its socket is removed, and its log if nothing was said."""

    def __init__(self, child: Child, socket: Path | None) -> None:
        self._child = child
        self._socket = socket
        self.pid = child.pid or 0

    async def wait(self) -> Ended:
        return _ended(await self._child.wait())

    async def stop(self, grace: float) -> Ended:
        ended = await self._child.stop(grace)
        if self._socket:
            self._socket.unlink(missing_ok=True)
        log = self._child.spec.log
        if log.exists() and not log.stat().st_size:
            log.unlink()
        return _ended(ended)


class LocalProcesses(Processes):
    """Starts them with this interpreter.

    Args:
        mesh: the address of the platform's services.
        run: a private folder with a short path, for the parameter servers' sockets.
        logs: a folder for the processes' output, one file a process.
        variables: what they are told by their environment, such as how to log.
    """

    def __init__(
        self, supervisor: Supervisor, *, mesh: str, run: Path, logs: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        self._variables = dict(variables or {})
        self._supervisor = supervisor
        self._mesh = mesh
        self._run = run
        self._logs = logs
        logs.mkdir(parents=True, exist_ok=True)

    async def start(self, launch: Launch) -> Process:
        name = f"{launch.job_id}-{launch.kind.value}-{launch.index}"
        arguments = ["--mesh", self._mesh, "--job", launch.job_id, "--index", str(launch.index)]
        child = await self._supervisor.start(
            ChildSpec(
                name=name,
                argv=[sys.executable, "-m", _MODULES[launch.kind], *arguments],
                env=launcher.environment(
                    PYTHONPATH=_python_path(), **{TOKEN_VARIABLE: launch.token}, **_ONE_THREAD, **self._variables
                ),
                cwd=self._run,
                log=self._logs / f"{name}.log",
            )
        )
        return LocalProcess(child, self._socket(launch.job_id) if launch.kind is ProcessKind.PARAMETER_SERVER else None)

    def server_address(self, job_id: str) -> str:
        path = str(self._socket(job_id))
        if len(path.encode()) > _SOCKET_PATH_LIMIT:
            raise FailedPrecondition(
                "RUN_FOLDER_TOO_LONG", "the folder for sockets has too long a path", remedy="choose a shorter one"
            )
        return f"unix:{path}"

    def _socket(self, job_id: str) -> Path:
        return self._run / f"{job_id}.sock"


def _ended(exit_: Exit) -> Ended:
    """How the process itself ended: one that was killed before it was asked to stop was killed."""
    if exit_.stopped and exit_.signal == signal.SIGTERM:
        return Ended(clean=False, sentence="it was stopped")
    if exit_.code is None and exit_.signal is None:
        return Ended(clean=False, sentence=exit_.reason)
    return Ended(clean=exit_.code == 0, sentence=f"it {launcher.Ended(code=exit_.code, signal=exit_.signal)}")


def _python_path() -> str:
    """Where the platform's packages are, installed or not, before what this process was told."""
    packages = (synapsenet, synapsenet_servers, synapsenet_api)
    roots = dict.fromkeys(str(Path(package.__path__[0]).parent) for package in packages)
    return os.pathsep.join([*roots, *filter(None, [os.environ.get("PYTHONPATH")])])
