"""Experiments, put together."""

from __future__ import annotations

from contextlib import AsyncExitStack

from synapsenet.adapters.sql.experiments import SqlExperimentsWork, metadata
from synapsenet.experiments.analysis import Analysis
from synapsenet.experiments.model import EXPERIMENT_IDS, RUN_IDS
from synapsenet.experiments.service import Experiments
from synapsenet_api.experiments.v1.analysis_service_pb2_grpc import add_AnalysisServiceServicer_to_server
from synapsenet_api.experiments.v1.experiment_service_pb2_grpc import add_ExperimentServiceServicer_to_server
from synapsenet_servers.bootstrap.role import Platform, Role, Service
from synapsenet_servers.servicers.experiments import ExperimentAnalysis, ExperimentTracking


async def assemble(platform: Platform, stack: AsyncExitStack) -> Role:
    """The role `experiments`, its records in `data/experiments`."""
    work = await stack.enter_async_context(platform.records("experiments", metadata=metadata, unit=SqlExperimentsWork))
    options = platform.config.experiments
    experiments = Experiments(
        work=work,
        clock=platform.clock,
        experiment_ids=platform.ids(EXPERIMENT_IDS),
        run_ids=platform.ids(RUN_IDS),
        options=options,
    )
    analysis = Analysis(work=work, options=options)
    tracking = Service(
        name="synapsenet.experiments.v1.ExperimentService",
        servicer=ExperimentTracking(experiments, platform.clock),
        add=add_ExperimentServiceServicer_to_server,
    )
    answers = Service(
        name="synapsenet.experiments.v1.AnalysisService",
        servicer=ExperimentAnalysis(analysis, experiments),  # type: ignore[abstract]  # the rest is in not_yet_available
        add=add_AnalysisServiceServicer_to_server,
    )
    return Role(name="experiments", services=[tracking, answers])
