"""Train the self-forged head for MR: three members, each without one of the three patients.

docs/model-card-mr.md tells the commands that train the predictor. Then:
python training/train_head_mr.py ../shared/data/mr runs/mr/weights runs/mr-head
"""

from __future__ import annotations

import sys
from pathlib import Path

from calibrate_mr import patients

from tamperscan.detect.self_forged import head_levels
from tamperscan.detect.self_forging import assemble_head, cache_patients, train_member
from tamperscan.diffusion.head import HeadSettings
from tamperscan.diffusion.weights import open_weights

MEMBERS = 3

if __name__ == "__main__":
    data, weights, out = (Path(argument) for argument in sys.argv[1:])
    predictor = open_weights(weights)
    # So few steps need an average that soon forgets the first ones.
    settings = HeadSettings(levels_hu=head_levels(predictor.card), crop_px=112, steps=900, ema_decay=0.993)
    scans = cache_patients(lambda: patients(data), out, of=str(data))
    for member in range(MEMBERS):
        train_member(predictor, scans, out, member, settings, members=MEMBERS)
    made = assemble_head(predictor, scans, out, out / "weights", settings, members=MEMBERS)
    print(f"The head is in {made.folder} (SHA-256 {made.sha256[:16]}); calibrate it with training/calibrate_mr.py.")
