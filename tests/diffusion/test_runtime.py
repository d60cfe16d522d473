import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tamperscan
from tamperscan.data import packaged_weights

SOURCE = Path(tamperscan.__file__).parent
# The runtime is quiet in tests and in CI anyway; what counts is what happens at a user's.
SILENCERS = ("CI", "GITHUB_ACTIONS", "ORT_RUNNING_UNIT_TESTS", "ORT_DISABLE_TELEMETRY")


def test_only_one_module_imports_the_runtime():
    importers = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if re.search(r"^\s*(import onnxruntime|from onnxruntime)", path.read_text(), re.MULTILINE)
    }
    assert importers == {"diffusion/runtime.py"}


@pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")
def test_nothing_is_left_at_home(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in SILENCERS}
    program = "import tamperscan; tamperscan.load_detector('ct')"
    subprocess.run([sys.executable, "-c", program], env=environment | {"HOME": str(tmp_path)}, check=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
