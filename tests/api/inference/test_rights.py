"""How long the table is trusted when the database is away."""

import asyncio

import pytest
from django.db import OperationalError

from api.inference import rights
from api.inference.rights import Rights
from common.errors import Unavailable
from compute.endpoint_serving import ServingTable


@pytest.fixture
def database(monkeypatch):
    """The outside world: answers with its number, or is away."""
    state = {"number": 1, "away": False}

    def number() -> int:
        if state["away"]:
            raise OperationalError("the server closed the connection")
        return state["number"]

    monkeypatch.setattr(rights, "access_version", number)
    monkeypatch.setattr(rights, "serving_table", lambda: ServingTable(number()))
    monkeypatch.setattr(rights, "with_connection", with_errors)
    monkeypatch.setattr(rights, "LOOK_S", 0.01)
    return state


def with_errors(work):
    """`with_connection` without a connection."""
    try:
        return work()
    except OperationalError as error:
        raise Unavailable("away") from error


async def until(check) -> None:
    async with asyncio.timeout(10):
        while not check():  # noqa: ASYNC110 - what is awaited is changed by a thread
            await asyncio.sleep(0.005)


def test_a_change_is_seen_and_told(database):
    seen: list[int] = []

    async def story() -> None:
        mine = Rights(lambda table: seen.append(table.version))
        mine.start()
        assert (await mine.current()).version == 1
        database["number"] = 2
        await until(lambda: seen == [1, 2])
        assert mine.fresh().version == 2
        mine.close()

    asyncio.run(story())


def test_the_last_table_serves_for_a_while_and_then_nothing_is_served(database, monkeypatch):
    async def story() -> None:
        mine = Rights(lambda table: None)
        mine.start()
        await mine.current()
        database["away"] = True
        await until(lambda: mine.problem)
        monkeypatch.setattr(rights, "FRESH_S", 0.0)
        assert mine.fresh() is None
        assert (await mine.current()).version == 1
        monkeypatch.setattr(rights, "STALE_LIMIT_S", 0.05)
        await until(lambda: mine.age_s > 0.05)
        with pytest.raises(Unavailable):
            await mine.current()
        database["away"] = False
        await until(lambda: not mine.problem and mine.age_s < 0.05)
        assert (await mine.current()).version == 1
        mine.close()

    asyncio.run(story())


def test_without_a_database_nothing_is_served_from_the_start(database):
    database["away"] = True

    async def story() -> None:
        mine = Rights(lambda table: None)
        mine.start()
        await until(lambda: mine.problem)
        with pytest.raises(Unavailable):
            await mine.current()
        mine.close()

    asyncio.run(story())
