"""The speed on a GPU: how times are added up and told, and what is said where there is none."""

import pytest

torch = pytest.importorskip("torch")

from tamperscan.bench.document import Provenance, plain  # noqa: E402
from tamperscan.bench.gpu import GpuSpeed, NetworkTime, measure_gpu  # noqa: E402
from tamperscan.bench.gpu_clock import DeviceLimits, covered  # noqa: E402
from tamperscan.bench.gpu_page import gpu_page  # noqa: E402
from tamperscan.bench.timing import Timing  # noqa: E402
from tamperscan.errors import WeightsError  # noqa: E402

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
# Round numbers that no device has.
LIMITS = DeviceLimits(bfloat16_tflop=10.0, copied_gb=100.0)
RESULT = GpuSpeed(
    detector="ours",
    weights_sha256="0" * 64,
    runtime="a runtime",
    source="phantom",
    slices=300,
    shape=(512, 512),
    processor="a processor",
    cores=4,
    threads=4,
    versions={"torch": "2"},
    screening=Timing("our whole screening", 0.01, (0.01, 0.0125, 0.008)),
    waits=(0.75, 0.8, 0.7),
    pixels=100_000.0,
    networks={"noise predictor": NetworkTime(seconds=0.004, gflop=10.0, layer_mb=200.0)},
    limits=LIMITS,
)


@pytest.mark.parametrize(
    ("spans", "length"),
    [([], 0), ([(1, 2)], 1), ([(3, 5), (0, 1)], 3), ([(0, 4), (1, 2), (3, 6)], 6), ([(0, 2), (2, 3)], 3)],
)
def test_time_that_several_streams_work_in_is_counted_once(spans, length):
    assert covered(spans) == length


def test_the_floor_is_arithmetic_or_memory_whichever_takes_longer():
    assert NetworkTime(1.0, gflop=10.0, layer_mb=200.0).floor(LIMITS) == pytest.approx(2e-3)
    assert NetworkTime(1.0, gflop=50.0, layer_mb=200.0).floor(LIMITS) == pytest.approx(5e-3)


def test_page():
    page = gpu_page(RESULT, Provenance("tamperscan bench gpu", "abc"))
    assert "| noise predictor | 4.00 | 10.0 | 200 | 2.00 | 2.0 |" in page
    words = " ".join(page.split())
    assert "100.0 slices a second [80.0, 125.0] in the median of 3 repeats" in words
    assert "nothing to do for 75% of that time [70%, 80%]" in words
    assert plain(RESULT)["networks"]["noise predictor"]["seconds"] == 0.004


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_nothing_is_measured(tmp_path):
    with pytest.raises(WeightsError, match="no CUDA device"):
        measure_gpu(tmp_path, "ct")


@needs_gpu
def test_a_phantom_is_measured(tmp_path):
    result = measure_gpu(tmp_path, "ct", repeats=1, long_scan=8)
    assert all(network.seconds > network.floor(result.limits) / 10 for network in result.networks.values())
    assert all(0 <= share < 1 for share in result.waits)
