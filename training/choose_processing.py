"""Make src/tamperscan/data/processing-ct.json: where traces of global processing begin in a CT.

Uses authentic patients of the split's parts "train" and "calibrate" only, untreated and with each global treatment of
`tamperscan bench --robustness`; the diffusion model's is left out, so that it is one that was never seen.

    python training/choose_processing.py ../shared/data/ct
"""

import json
import sys
from pathlib import Path

from tamperscan.bench.robustness.choosing import TAUGHT, choose, extremes, study, thinned
from tamperscan.bench.robustness.subjects import authentic_slices
from tamperscan.bench.robustness.treatments import TREATMENTS
from tamperscan.detect.training import find_patients

HERE = Path(__file__).parent
OUT = HERE.parent / "src" / "tamperscan" / "data" / "processing-ct.json"
PARTS = ["train", "calibrate"]


def main(folder: Path) -> None:
    """Measure, choose, write."""
    scans = find_patients(folder, "CT", split=HERE / "ct-split.json", parts=PARTS, on_error=print)
    subjects = [one for pair in scans for one in thinned(list(authentic_slices([pair])))]
    studied = {}
    for name, treatment in {**TREATMENTS, **TAUGHT}.items():
        if not treatment.place_only and name != "regenerated":
            studied[name] = study(subjects, treatment)
            print(name, flush=True)
    made = {
        "made_by": "python training/choose_processing.py",
        "patients": len({one.group for one in subjects}),
        "slices": len(subjects),
        "parts": PARTS,
        "taught": list(TAUGHT),
    }
    text = json.dumps({**made, **choose(studied), "lowest_and_highest": extremes(studied)}, indent=1)
    OUT.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
