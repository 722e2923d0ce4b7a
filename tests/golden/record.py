"""Records the platform as it is: `python -m tests.golden.record [FOLDER]`, by default over tests/golden/pre_migration."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import shutil
import sys
import tempfile
from dataclasses import replace
from importlib import resources
from pathlib import Path

from synapsenet_servers.mesh.descriptors import read_descriptors, transcoder_descriptors
from synapsenet_servers.not_yet_available.table import TABLE
from tests.golden.contracts import Contracts
from tests.golden.conversations import talk, write_conversation
from tests.golden.files import CONVERSATIONS, DESCRIPTORS, PRE_MIGRATION, SUMS, sums
from tests.golden.scenario.conversations import SCRIPTS
from tests.golden.scenario.inference import record_inference
from tests.golden.scenario.models import record_models
from tests.golden.scenario.open_inference import record_open_inference, record_open_inference_rest
from tests.golden.scenario.registry import record_registry
from tests.golden.scenario.training import record_training
from tests.golden.scenario.trajectories import courses
from tests.golden.schemas import record_schemas
from tests.golden.script import Script
from tests.golden.stage import open_stage
from tests.golden.trajectories import write_trajectory


async def record(folder: Path) -> None:
    """Write a whole recording into the empty `folder`."""
    descriptors = transcoder_descriptors(read_descriptors(Path(str(resources.files("synapsenet_api"))) / "api.binpb"))
    (folder / DESCRIPTORS).write_bytes(descriptors.SerializeToString(deterministic=True))
    with tempfile.TemporaryDirectory(prefix="golden-") as data:
        async with open_stage(Path(data)) as stage:
            script = Script(stage, Contracts(descriptors), absent=TABLE)
            await record_models(script)
            await record_registry(script)
            await record_inference(script)
            await record_open_inference(script)
            await record_open_inference_rest(script)
            await record_training(script, stage.experiment_id)
        script.write(folder)
        record_schemas(folder, Path(data))
    for name, conversation in SCRIPTS.items():
        gone = replace(conversation, turns=talk(conversation.setting, conversation.turns))
        write_conversation(folder / CONVERSATIONS / f"{name}.json", gone)
    for name, course in courses():
        write_trajectory(folder, name, course)
    (folder / SUMS).write_text(sums(folder), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=PRE_MIGRATION)
    folder: Path = parser.parse_args().folder
    with tempfile.TemporaryDirectory(prefix="golden-") as fresh:
        asyncio.run(record(Path(fresh)))
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(fresh, folder)
    pin = hashlib.sha256((folder / SUMS).read_bytes()).hexdigest()
    sys.stdout.write(f'recorded in {folder}; tests/integration/golden/test_pinned_recording.py pins it: PIN = "{pin}"\n')


if __name__ == "__main__":
    main()
