import errno
import os

import pytest

from tamperscan.cli.console import in_one_line
from tamperscan.cli.resources import out_of_resources


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("[CPU] Convolution node with name 'Multiply_12198' can't alloc"),
        RuntimeError("can't start new thread"),
        ImportError("libx.so: failed to map segment from shared object"),
    ],
)
def test_no_memory_is_no_fault_of_the_program(error):
    assert "not enough memory" in out_of_resources(error)
    assert "fault" not in in_one_line(error)


def test_no_room_names_the_file():
    told = out_of_resources(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out/network.onnx"))
    assert told.startswith("out/network.onnx: no space left")


def test_the_cause_counts():
    error = ValueError("while reading")
    error.__cause__ = MemoryError()
    assert out_of_resources(error)


@pytest.mark.parametrize("error", [ValueError("no"), OSError(errno.ENOENT, "no such file"), KeyError("memory")])
def test_other_errors_are(error):
    assert out_of_resources(error) is None
    assert "fault in tamperscan" in in_one_line(error)
