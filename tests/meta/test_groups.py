"""Tests of one group run in one process: brokers, ports and the running site are shared by those of a group only."""

import pytest
import xdist


@pytest.mark.xdist_group("together")
def test_the_runner_keeps_groups_together(request: pytest.FixtureRequest) -> None:
    if xdist.is_xdist_worker(request):
        assert request.node.nodeid.endswith("@together")
