"""A node's home and its database, for the tests that need no running node."""

import pytest

from tamperscan.serve.database import Database
from tamperscan.serve.home import Home


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    made.prepare()
    return made


@pytest.fixture
def database(home):
    opened = Database(home)
    yield opened
    opened.close()
