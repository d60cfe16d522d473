import subprocess
import sys

import pytest

from tamperscan.data import packaged_weights, weights_path
from tamperscan.diffusion import gpu, networks
from tamperscan.diffusion.networks import open_network
from tamperscan.errors import WeightsError

needs_weights = pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")


def network(device):
    return open_network(weights_path("ct") / "network.onnx", threads=1, advice="", device=device)


@pytest.fixture
def sign(monkeypatch, tmp_path):
    """What a driver would lay out; not there yet."""
    monkeypatch.setattr(gpu, "_SIGNS", (tmp_path / "nvidia",))
    return tmp_path / "nvidia"


def test_without_a_driver_s_signs_torch_has_none(sign):
    assert not gpu.torch_may_have_gpu()


def test_with_them_it_may(sign):
    pytest.importorskip("torch")
    sign.touch()
    assert gpu.torch_may_have_gpu()


def test_without_torch_there_is_none_whatever_the_signs(sign, monkeypatch):
    sign.touch()
    monkeypatch.setattr(gpu, "_NEEDED", ("a_package_that_does_not_exist",))
    assert not gpu.torch_may_have_gpu()
    assert not gpu.torch_has_gpu.__wrapped__()


PROGRAM = """
import sys
from pathlib import Path
from tamperscan.data import weights_path
from tamperscan.diffusion import gpu
from tamperscan.diffusion.networks import open_network
gpu._SIGNS = tuple(map(Path, sys.argv[2:]))
open_network(weights_path("ct") / "network.onnx", threads=1, advice="", device=sys.argv[1])
print("torch" in sys.modules)
"""


def loads_torch(*words):
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True)
    return done.stdout.split()[-1] == "True"


@needs_weights
def test_torch_is_loaded_only_where_a_gpu_is_evident(tmp_path):
    pytest.importorskip("torch")
    assert not loads_torch("auto")
    assert not loads_torch("cpu", str(tmp_path))
    assert loads_torch("auto", str(tmp_path))


@needs_weights
def test_a_gpu_that_torch_can_not_use_is_told_or_done_without(monkeypatch):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    monkeypatch.setattr(networks, "torch_may_have_gpu", lambda: True)
    monkeypatch.setattr(networks, "torch_has_gpu", lambda: True)
    with pytest.raises(WeightsError, match=r"torch can't use the GPU .*Choose the device cpu"):
        network("cuda")
    assert network("auto").runtime.endswith("CPU")


@needs_weights
@pytest.mark.skipif(not gpu.torch_has_gpu(), reason="there is no CUDA device, or no torch")
def test_torch_is_taken_first():
    assert network("cuda").runtime.startswith("torch")
    assert network("auto").runtime.startswith("torch")
    assert not network("cpu").runtime.startswith("torch")
