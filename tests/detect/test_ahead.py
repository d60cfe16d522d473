from __future__ import annotations

import threading
import time

import pytest
from threadpoolctl import threadpool_info

from tamperscan.detect.ahead import map_ahead, slices_at_a_time


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_items(workers):
    def work(number):
        time.sleep(0.002 * (number % 3))
        return number * number

    assert list(map_ahead(work, range(20), workers)) == [number * number for number in range(20)]


def test_several_items_are_worked_on_at_a_time():
    both = threading.Barrier(2, timeout=5)
    assert len(list(map_ahead(lambda _: both.wait(), range(6), 2))) == 6


def test_items_are_taken_no_further_ahead_than_twice_the_workers():
    taken = []

    def items():
        for number in range(50):
            taken.append(number)
            yield number

    results = map_ahead(lambda number: number, items(), 2)
    next(results)
    assert len(taken) == 4


def test_an_error_reaches_the_caller_in_its_turn():
    def work(number):
        if number == 3:
            raise ValueError("the third")
        return number

    results = map_ahead(work, range(9), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(results)


def test_products_of_matrices_take_one_thread_beside_other_workers():
    def threads(_):
        return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]

    before = threads(None)
    assert all(count == 1 for counts in map_ahead(threads, range(3), 2) for count in counts)
    assert threads(None) == before


def test_a_single_thread_prepares_a_slice_while_a_gpu_is_at_work_on_another():
    assert [slices_at_a_time(threads) for threads in (1, 2, 4)] == [1, 3, 5]
    assert [slices_at_a_time(threads, beside_gpu=True) for threads in (1, 2, 4)] == [2, 3, 5]
