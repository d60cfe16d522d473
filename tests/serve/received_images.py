"""Images of one synthetic series, put into a home as a receiver would."""

import time

import numpy as np
from pydicom.uid import generate_uid

from tamperscan.bench.node_instances import make_image
from tamperscan.serve.spool import Ledger, Receipt

STUDY, SERIES = generate_uid(), generate_uid()


def receive(home, image, name, arrived=None):
    """Put an image into spool and ledger, as a receiver would."""
    path = home.spool / f"{name}.dcm"
    image.save_as(path, enforce_file_format=True)
    ledger = Ledger(home)
    meta = (str(image.SOPClassUID), str(image.SOPInstanceUID), str(image.file_meta.TransferSyntaxUID))
    when = time.time() if arrived is None else arrived
    ledger.enter(Receipt(path.name, name, path.stat().st_size, *meta, "CT1", "NODE", "127.0.0.1", when)).result()
    ledger.close()
    return path


def an_image(index=0, seed=0):
    uid = f"{SERIES[:50]}.{index}"
    return make_image(STUDY, SERIES, uid, index=index, side=8, generator=np.random.default_rng(seed))
