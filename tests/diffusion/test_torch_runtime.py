from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tamperscan.data import packaged_weights, sample_path, weights_path
from tamperscan.detect.load import load_detector
from tamperscan.diffusion import networks
from tamperscan.diffusion.networks import open_network
from tamperscan.scan import read_scan

torch = pytest.importorskip("torch")

from tamperscan.diffusion import torch_runtime  # noqa: E402
from tamperscan.diffusion.torch_runtime import TorchNetwork  # noqa: E402

pytestmark = pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
PREDICTOR = weights_path("ct") / "network.onnx"


def network(**how):
    return TorchNetwork(PREDICTOR, advice="", **how)


def shown(columns=72, seed=0):
    image = np.random.default_rng(seed).normal(-0.5, 0.05, (2, 1, 64, columns))
    return {"image": np.asarray(image, np.float32), "level": np.array([0.02, 0.03], np.float32)}


def exact(inputs):
    return open_network(PREDICTOR, advice="", threads=1, device="cpu", precision="float32").run(inputs)


class Recorder:
    """Records programs that run step by step, and notes what for."""

    def __init__(self):
        self.columns = []

    def __call__(self, module, inputs):
        self.columns.append(inputs[0].shape[-1])

        def program(given):
            for own, other in zip(inputs, given, strict=True):
                own.copy_(other)
            return module(*inputs)

        return program


def test_on_a_cpu_it_gives_what_onnxruntime_gives():
    ours = network(device="cpu")
    assert ours.runtime == f"torch {torch.__version__}, float32, CPU"
    np.testing.assert_allclose(ours.run(shown()), exact(shown()), atol=1e-4)


def test_bfloat16_on_a_cpu_is_close():
    ours = network(device="cpu", precision="bfloat16")
    wanted = exact(shown())
    assert (ours.run(shown()) - wanted).std() < 0.02 * wanted.std()


def test_a_program_is_recorded_once_for_each_size():
    record = Recorder()
    ours = network(device="cpu", capture=record)
    for columns in (72, 80, 72, 80):
        np.testing.assert_allclose(ours.run(shown(columns)), exact(shown(columns)), atol=1e-4)
    assert record.columns == [64, 72, 80]  # the first is tried when the network is loaded


def test_the_program_that_was_not_asked_for_longest_is_given_up(monkeypatch):
    monkeypatch.setattr(torch_runtime, "MOST_PROGRAMS", 2)
    record = Recorder()
    ours = network(device="cpu", capture=record)
    for columns in (72, 80, 72, 88, 72, 80):
        ours.run(shown(columns))
    assert record.columns == [64, 72, 80, 88, 80]


def test_where_nothing_can_be_recorded_it_runs_step_by_step():
    tries = []

    def fail(module, inputs):
        tries.append(inputs)
        raise RuntimeError("operation not permitted when stream is capturing")

    ours = network(device="cpu", capture=fail)
    np.testing.assert_allclose(ours.run(shown()), exact(shown()), atol=1e-4)
    assert len(tries) == 1
    assert ours.runtime.endswith("CPU, without CUDA graphs")


def test_a_result_is_the_caller_s_own():
    ours = network(device="cpu", capture=Recorder())
    first = ours.run(shown(seed=1))
    kept = first.copy()
    ours.run(shown(seed=2))
    np.testing.assert_array_equal(first, kept)


def test_many_threads_at_once_on_a_cpu():
    same_from_many_threads(network(device="cpu", capture=Recorder()))


def test_a_detector_hands_whole_batches_over_and_gives_the_same_verdict(monkeypatch):
    """All but the device: networks by torch in bfloat16, sizes recorded, several slices at a time."""
    batches = set()

    class Noting(TorchNetwork):
        def run(self, inputs):
            batches.add((len(inputs["image"]), tuple(sorted(inputs))))
            return super().run(inputs)

    scan = read_scan(sample_path())
    other = load_detector("ct", device="cpu", threads=1, precision="float32").screen(scan)
    how = {"device": "cpu", "precision": "bfloat16", "capture": Recorder()}
    monkeypatch.setattr(networks, "_on_gpu", lambda path, *others: Noting(path, advice="", **how))
    ours = load_detector("ct", threads=1).screen(scan)
    assert "bfloat16" in ours.settings["runtime"]
    assert (ours.verdict, len(ours.findings)) == (other.verdict, len(other.findings))
    assert ours.score == pytest.approx(other.score, rel=0.02)
    assert (2, ("image", "level")) in batches


def same_from_many_threads(ours):
    asked = [shown(64 + 8 * (seed % 3), seed) for seed in range(24)]
    alone = [ours.run(each) for each in asked]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(ours.run, asked))
    assert all(map(np.array_equal, alone, together))


@needs_gpu
def test_float32_on_a_gpu_is_without_tf32():
    ours = network(precision="float32")
    np.testing.assert_allclose(ours.run(shown()), exact(shown()), atol=1e-4)
    assert "float32" in ours.runtime
    assert ours.runtime.endswith(f"{torch.cuda.get_device_name()}, CUDA graphs")


@needs_gpu
def test_bfloat16_on_a_gpu_is_close():
    ours = network(precision="bfloat16")
    wanted = exact(shown())
    assert (ours.run(shown()) - wanted).std() < 0.02 * wanted.std()
    assert torch.cuda.get_device_name() in ours.runtime


@needs_gpu
def test_recorded_graphs_give_what_single_steps_give():
    def fail(module, inputs):
        raise RuntimeError("not now")

    stepwise = network(capture=fail)
    assert stepwise.runtime.endswith("without CUDA graphs")
    for columns in (64, 80, 64):
        np.testing.assert_allclose(network().run(shown(columns)), stepwise.run(shown(columns)), atol=1e-2)


@needs_gpu
def test_many_threads_at_once_on_a_gpu():
    same_from_many_threads(network())


@needs_gpu
def test_more_sizes_than_are_kept_on_a_gpu(monkeypatch):
    monkeypatch.setattr(torch_runtime, "MOST_PROGRAMS", 2)
    same_from_many_threads(network())


@needs_gpu
@pytest.mark.parametrize("threads", [1, 4])
def test_the_sample_gets_the_same_verdict_on_a_gpu(threads):
    scan = read_scan(sample_path())
    ours, other = (load_detector("ct", device=device, threads=threads).screen(scan) for device in ("cuda", "cpu"))
    assert "torch" in ours.settings["runtime"]
    assert (ours.verdict, len(ours.findings)) == (other.verdict, len(other.findings))
    assert ours.score == pytest.approx(other.score, rel=0.02)
