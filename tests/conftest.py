"""Which test files run in the same process, where several run at a time."""

from __future__ import annotations

import pytest

# What the fixtures of these folders train and calibrate takes longer than most of their tests: it is made once.
TOGETHER = ("tests/detect/",)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Hand out whole files, as ``--dist loadfile`` does, but the files of some folders to one process."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFileOrFolder(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return next((folder for folder in TOGETHER if nodeid.startswith(folder)), super()._split_scope(nodeid))

    return ByFileOrFolder(config, log)
