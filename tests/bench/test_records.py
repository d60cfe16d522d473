from tamperscan.bench.records import versions


def test_versions_are_those_that_are_installed():
    found = versions()
    assert found["numpy"]
    assert found["tamperscan"]
    assert all(found.values())


def test_the_record_tells_data_seeds_and_budget(compared):
    comparison = compared[1].comparison
    counts = {one.name: (one.tampered, one.authentic, one.patients) for one in comparison.data}
    assert counts["authentic scans"] == (0, 2, 2)
    assert counts["authentic scans for calibration"] == (0, 3, 3)
    assert counts["forged here"][0] >= 4
    assert comparison.budget_seconds == 5.0
    assert comparison.seeds == {"contenders and forgeries": 0, "resampling": 0}
    assert any("both sides" in note for note in comparison.notes)


def test_every_order_is_a_case_or_skipped_with_its_reason(compared):
    (forged,) = [one for one in compared[1].comparison.data if one.name == "forged here"]
    orders, given = 2 + 4, 4  # smooth removes only; copymove does both
    assert forged.tampered - given + sum(forged.skipped.values()) == orders
    assert all(forged.skipped)
