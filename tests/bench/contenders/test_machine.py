import time

import torch

from tamperscan.bench.contenders.machine import clock, device


def test_without_a_gpu_the_processor_is_taken_and_counted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device().type == "cpu"
    begun = clock()
    time.sleep(0.2)
    assert clock() - begun < 0.15


def test_on_a_gpu_seconds_are_counted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device().type == "cuda"
    begun = clock()
    time.sleep(0.2)
    assert clock() - begun >= 0.2
