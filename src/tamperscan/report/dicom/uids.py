"""The UIDs, numbers and names of result series: the same for the same screening, however often it is written."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from pydicom.uid import UID

from tamperscan.detect.results import Screening
from tamperscan.report.dicom.sources import SourceSeries
from tamperscan.report.schema import package_version, plain
from tamperscan.scan.forged import REMARK

_LARGEST_NUMBER = 2**31 - 1
_LONGEST = 64  # of a SeriesDescription (LO, PS3.5 section 6.2)


class Kind(Enum):
    """A kind of result, with what is added to the source's SeriesNumber times 1000, and its SeriesDescription."""

    FINDINGS = (901, "tamperscan findings")
    SUSPICION = (902, "tamperscan suspicion map")
    REPORT = (903, "tamperscan structured report")
    KEY_IMAGES = (904, "tamperscan key images")
    DOCUMENT = (905, "tamperscan report")


@dataclass(frozen=True)
class Numbering:
    """Names the series and instances of one screening's results.

    Attributes
    ----------
    fingerprint
        SHA-256 of what the results depend on.
    source_number
        SeriesNumber of the source; None if it has none.
    forged
        Whether the source is a forged scan; the descriptions say so then.
    """

    fingerprint: str
    source_number: int | None
    forged: bool

    def uid(self, what: str) -> UID:
        """Derive a UID (PS3.5 B.2: "2.25." and a UUID as a decimal number, here of version 8, RFC 9562)."""
        digest = hashlib.sha256(f"{self.fingerprint} {what}".encode()).digest()
        bits = int.from_bytes(digest[:16])
        bits = bits & ~(0xF << 76) | (0x8 << 76)  # version
        bits = bits & ~(0x3 << 62) | (0x2 << 62)  # variant
        return UID(f"2.25.{UUID(int=bits).int}")

    def series_uid(self, kind: Kind) -> UID:
        """SeriesInstanceUID of a kind of result."""
        return self.uid(f"series {kind.name}")

    def instance_uid(self, kind: Kind, number: int = 1) -> UID:
        """SOPInstanceUID of a result, by its InstanceNumber."""
        return self.uid(f"instance {kind.name} {number}")

    def series_number(self, kind: Kind) -> int:
        """SeriesNumber, near that of the source: 3901 to 3905 for series 3."""
        offset = kind.value[0]
        number = (self.source_number or 0) * 1000 + offset
        return number if offset <= number <= _LARGEST_NUMBER else offset

    def description(self, kind: Kind) -> str:
        """SeriesDescription."""
        text = f"{kind.value[1]} (NOT FOR DIAGNOSIS)"
        return f"{REMARK}: {text}"[:_LONGEST] if self.forged else text


def numbering(screening: Screening, sources: SourceSeries) -> Numbering:
    """Name the results of a screening.

    Parameters
    ----------
    screening
        What a detector said.
    sources
        Of which images.
    """
    depends_on = {
        "sources": [[str(each.header.SOPInstanceUID), each.frame] for each in sources.slices],
        "pixels": screening.scan.sha256,
        "detector": screening.detector_name,
        "weights": screening.weights_sha256,
        "version": package_version(),
        "alarm_rate": screening.alarm_rate,
        "settings": plain(screening.settings),
    }
    text = json.dumps(depends_on, sort_keys=True)
    return Numbering(hashlib.sha256(text.encode()).hexdigest(), sources.number, sources.forged)
