"""Inference's records over every database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from synapsenet.adapters.sql.inference import SqlInferenceWork, metadata
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.inference import DeploymentsContract, ReplicaReportsContract, RouteTableContract
from tests.contract.databases import OpenRecords


@pytest.fixture
async def work(records: OpenRecords) -> AsyncIterator[SqlWork[SqlInferenceWork]]:
    async with records("inference", metadata=metadata, unit=SqlInferenceWork, clock=FakeClock()) as opened:
        yield opened


class TestSqlDeployments(DeploymentsContract):
    """The shared suite."""


class TestSqlRouteTable(RouteTableContract):
    """The shared suite."""


class TestSqlReplicaReports(ReplicaReportsContract):
    """The shared suite."""
