"""Targets that read documents: rules, cards, records, logs. Each is a function of bytes that ends quietly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz.held import PLACE
from fuzz.oracle import check_error


def rules(content: bytes) -> None:
    """Read the node's rules, in YAML."""
    from tamperscan.errors import ServeError
    from tamperscan.serve.rules import read_rules

    path = PLACE / "rules.yaml"
    path.write_bytes(content)
    try:
        read_rules(path)
    except ServeError as error:
        check_error(error)


def card(content: bytes) -> None:
    """Read the card of a detector's weights."""
    from tamperscan.diffusion.weights import open_weights
    from tamperscan.errors import WeightsError

    _in_folder("weights", "card.json", content, lambda folder: open_weights(folder), WeightsError)


def forge_card(content: bytes) -> None:
    """Read the card of forging weights."""
    from tamperscan.errors import ForgeError
    from tamperscan.forge.weights import _read_card

    _in_folder("forge-weights", "card.json", content, lambda folder: _read_card(folder), ForgeError)


def forgery(content: bytes) -> None:
    """Read the record of a forgery."""
    from tamperscan.errors import ForgeError
    from tamperscan.forge.folder import RECORD, read_forgeries

    _in_folder("forgery", RECORD, content, lambda folder: read_forgeries(folder, check_error), ForgeError)


def marks(content: bytes) -> None:
    """Read marks of nodules that lie beside a scan."""
    from tamperscan.errors import ScanError
    from tamperscan.forge.lesions import NODULES, _box, _nodule, _read

    for parse in (_nodule, _box):
        _in_folder("marks", NODULES, content, lambda folder, parse=parse: _read(folder / NODULES, parse), ScanError)


def anchors(content: bytes) -> None:
    """Read anchors of the audit trail."""
    from tamperscan.errors import OutputError
    from tamperscan.serve.audit_check import read_anchors

    _in_folder("anchors", "anchors", content, lambda folder: read_anchors(folder / "anchors"), OutputError)


def audit_log(content: bytes) -> None:
    """Check an audit trail that somebody may have altered."""
    from tamperscan.errors import OutputError
    from tamperscan.serve.audit_check import verify

    _in_folder("audit", "audit.jsonl", content, lambda folder: verify(folder / "audit.jsonl"), OutputError)


def screening(content: bytes) -> None:
    """Read a screening's document."""
    from tamperscan.report.folders import _belongs_to
    from tamperscan.scan.volume import Scan

    folder = PLACE / "screening"
    folder.mkdir(exist_ok=True)
    (folder / "screening.json").write_bytes(content)
    _belongs_to(folder, Scan(None, (1.0, 1.0, 1.0), "CT", "x", sha256="0"))  # type: ignore[arg-type]


def combination(content: bytes) -> None:
    """Read how the heads of a detector are added."""
    from tamperscan.detect.heads import COMBINATION_FILE, read_combination
    from tamperscan.errors import WeightsError

    _in_folder("heads", COMBINATION_FILE, content, lambda folder: read_combination(_weights(folder)), WeightsError)


def head_facts(content: bytes) -> None:
    """Read what a self-forged head is."""
    from tamperscan.detect.self_forged import FACTS_FILE, read_facts
    from tamperscan.errors import WeightsError

    _in_folder("heads", FACTS_FILE, content, lambda folder: read_facts(_weights(folder)), WeightsError)


def _weights(folder: Path) -> Any:
    """Weights whose card is whole, and their other files of any content."""
    from tamperscan.detect.self_forged import FACTS_FILE, HEAD_FILE
    from tamperscan.diffusion.weights import Card, Weights

    packaged = Card.model_validate_json(Path("src/tamperscan/data/weights/ct/card.json").read_bytes())
    return Weights(folder, packaged.model_copy(update={"files": {HEAD_FILE: "", FACTS_FILE: ""}}), "")


def _in_folder(name: str, file: str, content: bytes, read: Callable[[Path], object], expected: type[Exception]) -> None:
    folder = PLACE / name
    folder.mkdir(exist_ok=True)
    (folder / file).write_bytes(content)
    try:
        read(folder)
    except expected as error:
        check_error(error)  # type: ignore[arg-type]
