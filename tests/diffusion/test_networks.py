from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import tamperscan
from tamperscan.data import packaged_weights, weights_path
from tamperscan.diffusion.gpu import gpu_is_there
from tamperscan.diffusion.networks import open_network
from tamperscan.diffusion.openvino_runtime import openvino_is_fast
from tamperscan.errors import WeightsError

pytestmark = pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")
needs_openvino = pytest.mark.skipif(
    not openvino_is_fast(), reason="OpenVINO is not installed, or the processor has no bfloat16"
)
SOURCE = Path(tamperscan.__file__).parent
LEVEL = np.array([0.02], np.float32)


def network(**how):
    return open_network(weights_path("ct") / "network.onnx", threads=1, advice="Make it anew.", **how)


def shown(rows=96, columns=112, seed=0):
    noise = np.random.default_rng(seed).normal(0.0, 0.05, (1, 1, rows, columns))
    return {"image": np.asarray(noise - 0.5, np.float32), "level": LEVEL}


def noisy(rows=96, columns=112):
    noise = np.random.default_rng(1).normal(0.0, 1.0, (1, 2, rows, columns))
    return {"image": shown(rows, columns)["image"], "noise": np.asarray(noise, np.float32)}


def test_float32_is_always_there():
    assert "float32" in network(precision="float32", device="cpu").runtime


def test_unknown_device():
    with pytest.raises(WeightsError, match="no device 'tpu'"):
        network(device="tpu")


@pytest.mark.skipif(gpu_is_there(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_told_in_one_line_with_both_ways_to_get_one():
    with pytest.raises(WeightsError, match=r"tamperscan\[gpu\].*onnxruntime-gpu.*device cpu") as told:
        network(device="cuda")
    assert "\n" not in str(told.value)


@needs_openvino
def test_bfloat16_gives_the_noise_of_float32_within_a_twentieth():
    quick, exact = network(), network(precision="float32")
    assert "bfloat16" in quick.runtime
    for seed in range(3):
        inputs = shown(seed=seed)
        off = quick.run(inputs) - exact.run(inputs)
        assert off.std() < 0.05 * exact.run(inputs).std()


@needs_openvino
def test_splitting_and_folding_changes_nothing_but_rounding(monkeypatch):
    # In float32 both ways give the same; in bfloat16 the folded one rounds less.
    from tamperscan.diffusion.openvino_runtime import OpenVinoNetwork

    compiled = OpenVinoNetwork._compile
    monkeypatch.setattr(OpenVinoNetwork, "_compile", lambda self, model, precision: compiled(self, model, "f32"))
    for name, inputs in (("network.onnx", shown()), ("self-forged.onnx", noisy())):
        network = OpenVinoNetwork(weights_path("ct") / name, threads=1, advice="")
        (form,) = (network._form(level) for level in [float(inputs.get("level", [0.0])[0])])
        assert form.is_folded
        np.testing.assert_allclose(form.run(inputs), network._as_it_is().run(inputs), atol=2e-4)


@needs_openvino
def test_bfloat16_of_the_head_gives_the_odds_of_float32():
    quick, exact = (
        open_network(weights_path("ct") / "self-forged.onnx", threads=1, advice="", precision=precision)
        for precision in ("auto", "float32")
    )
    off = quick.run(noisy()) - exact.run(noisy())
    assert off.std() < 0.05 * exact.run(noisy()).std()


@needs_openvino
def test_several_images_at_their_own_levels():
    quick = network()
    images = np.concatenate([shown(seed=seed)["image"] for seed in range(2)])
    levels = np.array([0.02, 0.04], np.float32)
    together = quick.run({"image": images, "level": levels})
    alone = [quick.run({"image": images[n : n + 1], "level": levels[n : n + 1]}) for n in range(2)]
    assert np.array_equal(together, np.concatenate(alone))


@needs_openvino
def test_more_levels_than_are_folded_give_noise_all_the_same():
    quick, exact = network(), network(precision="float32")
    for level in np.linspace(0.01, 0.05, 10, dtype=np.float32):
        inputs = shown() | {"level": np.array([level])}
        off = quick.run(inputs) - exact.run(inputs)
        assert off.std() < 0.15 * exact.run(inputs).std()


@needs_openvino
def test_bfloat16_gives_the_same_from_several_threads():
    quick = network()
    alone = [quick.run(shown(columns=112 + 8 * (seed % 2), seed=seed)) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: quick.run(shown(columns=112 + 8 * (seed % 2), seed=seed)), range(8)))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


FIRST_CALLS = """
import threading, numpy as np
from tamperscan.data import weights_path
from tamperscan.diffusion.networks import open_network
networks = [open_network(weights_path("ct") / "network.onnx", threads=1, advice="") for _ in range(2)]
shown = {"image": np.zeros((1, 1, 96, 96), np.float32), "level": np.array([0.02], np.float32)}
start = threading.Barrier(4)
def call(number):
    start.wait()
    networks[number % 2].run(shown)
threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@needs_openvino
def test_first_calls_from_several_threads_do_not_wait_for_each_other_for_good():
    # Without the lock about one process in six hangs.
    started = [subprocess.Popen([sys.executable, "-c", FIRST_CALLS]) for _ in range(8)]
    try:
        assert [each.wait(timeout=60) for each in started] == [0] * 8
    finally:
        for each in started:
            each.kill()


@needs_openvino
def test_openvino_does_not_load_what_reports_to_its_maker():
    program = "import tamperscan, sys; tamperscan.load_detector('ct'); print(sys.modules.get('openvino_telemetry'))"
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "None"


def test_only_one_module_imports_openvino():
    importers = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if re.search(r"^\s*(import openvino|from openvino)", path.read_text(), re.MULTILINE)
    }
    assert importers == {"diffusion/openvino_runtime.py"}
