"""What `synapsenet up` starts, and what it tells its processes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from synapsenet_servers import config
from synapsenet_servers.serve import KNOWN
from synapsenet_servers.up.configuration import Backing, sections, write
from synapsenet_servers.up.options import MESH, SERVICES

BACKING = Backing(etcd="127.0.0.1:1", kafka="127.0.0.1:2", postgres="postgresql://a@/b?host=%2Frun&port=3")


def test_every_role_has_a_process_of_its_own_and_inference_has_two() -> None:
    assert Counter(process.role for process in (*SERVICES, MESH)) == Counter([*KNOWN, "inference"])
    assert len({process.name for process in (*SERVICES, MESH)}) == len(SERVICES) + 1


def test_what_is_written_is_a_configuration_that_the_processes_take(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    write(file, sections(BACKING, data=tmp_path, run=tmp_path / 'a "run" folder', ports=[7400, 7480]))
    known = config.load(file)
    assert (known.etcd.endpoints, known.kafka.brokers, known.postgres.url) == (
        (BACKING.etcd,),
        (BACKING.kafka,),
        BACKING.postgres,
    )
    assert known.mesh.socket == str(tmp_path / 'a "run" folder' / "envoy.sock")
    assert known.edge.ports == (7400, 7480)
    assert known.edge.host == "127.0.0.1"
    assert file.stat().st_mode & 0o077 == 0
