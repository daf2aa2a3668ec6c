import pytest

from tests.work import playground


@pytest.fixture(autouse=True)
def fresh_playground():
    playground.seen.clear()
    playground.began.clear()
    playground.go_on.clear()
