"""The figures of a comparison, with everything that is known of how they came about."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

from tamperscan.bench.collecting import Collected
from tamperscan.bench.comparison import Comparison, ContenderRecord, DataRecord, record_data
from tamperscan.bench.document import Provenance
from tamperscan.bench.gather import CALIBRATION_NAME, Gathered
from tamperscan.bench.jobs import Outcome
from tamperscan.bench.plan import Plan, Step
from tamperscan.bench.protocols.paper import measure_paper
from tamperscan.bench.protocols.screening import measure_screening
from tamperscan.bench.protocols.transfer import measure_transfer

PACKAGES = ("tamperscan", "numpy", "scipy", "torch", "scikit-learn", "PyWavelets", "opensimplex", "anomalib")


def compare_evidence(
    plan: Plan,
    gathered: Gathered,
    collected: Collected,
    *,
    missing: Mapping[str, str],
    origin: Provenance,
    begun: float,
    step: Step,
) -> Comparison:
    """Compute all protocols, and record what they rest on.

    Parameters
    ----------
    plan, gathered, collected
        What was to be measured, on what, and what came of it.
    missing
        Contenders that can't run here, with the reason.
    origin
        Command and commit.
    begun
        When the run began, by `time.monotonic`.
    step
        Called with the name of each stage; gives what is told its progress.
    """
    evidence = collected.evidence
    paper = measure_paper(evidence)
    screening = measure_screening(evidence, step("Bootstrap"))
    transfer = measure_transfer(evidence, screening, step("Bootstrap by scanner"))
    return Comparison(
        ours=evidence.ours,
        contenders=tuple(_contenders(collected, missing)),
        data=tuple(_data(gathered, collected)),
        paper=paper,
        screening=screening,
        transfer=transfer,
        origin=origin,
        seeds={"contenders and forgeries": plan.seed, "resampling": 0},
        versions=versions(),
        budget_seconds=plan.preset.budget_seconds,
        seconds=time.monotonic() - begun,
        notes=tuple(_notes(plan, collected)),
    )


def versions() -> dict[str, str]:
    """Return the versions of the packages that figures depend on, as far as they are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _contenders(collected: Collected, missing: Mapping[str, str]) -> list[ContenderRecord]:
    by_name: dict[str, list[Outcome]] = {}
    for reading in collected.readings:
        by_name.setdefault(reading.name, []).append(reading.outcome)
    records = {name: _record(name, outcomes) for name, outcomes in by_name.items()}
    for outcome, why in collected.left_out:
        told = ContenderRecord(
            outcome.name, outcome.source, outcome.settings, outcome.facts, f"{outcome.modality}: {why}"
        )
        records.setdefault(outcome.name, told)
    for name, why in missing.items():
        records.setdefault(name, ContenderRecord(name, "", {}, {}, why))
    return list(records.values())


def _record(name: str, outcomes: Sequence[Outcome]) -> ContenderRecord:
    """Record a contender; where there is one for each modality, with what each of them learned."""
    first = outcomes[0]
    if len(outcomes) == 1:
        return ContenderRecord(name, first.source, first.settings, first.facts)
    learned = {f"{one.modality} {key}": value for one in outcomes for key, value in one.facts.items()}
    return ContenderRecord(name, first.source, {one.modality: one.settings for one in outcomes}, learned)


def _data(gathered: Gathered, collected: Collected) -> list[DataRecord]:
    facts = collected.evidence.facts
    told = [record_data(name, data, facts) for name, data in gathered.sets.items()]
    return [*told, record_data(CALIBRATION_NAME, gathered.authentic.calibration, facts)]


def _notes(plan: Plan, collected: Collected) -> list[str]:
    notes = [
        "Of a volume at most five slices through each tampered place are measured, and at most"
        f" {plan.preset.slices or 20} others, no nearer than 5 mm; every slice by itself.",
        "Energies are averaged over discs of 16 mm and told on a logarithmic scale, with their authentic median at 0;"
        " one unit is what nine of ten authentic calibration slices stay below. As published, much energy is"
        " suspicious; 'both sides' says that little is suspicious, too. No tampered scan decides about sign or scale.",
        "Forged scans are made by the methods of this package from the authentic test scans, at places that are the"
        " same for all methods; they are compared with these scans themselves, among others.",
    ]
    unread = [f"{name} ({facts.problem})" for name, facts in collected.evidence.facts.items() if not facts.readable]
    notes += [f"Could not be read: {'; '.join(unread[:10])}; {len(unread)} in all."] if unread else []
    failures = [f"{name} on {case} ({why})" for name, case, why in collected.failures]
    return notes + ([f"Failed: {'; '.join(failures[:10])}; {len(failures)} in all."] if failures else [])
