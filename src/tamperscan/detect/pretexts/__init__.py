"""Forgeries made on the fly from authentic crops, to learn what inconsistency looks like.

A detector trained on them never sees a real attack; as self-blended images do for faces (Shiohara and Yamasaki,
CVPR 2022, arXiv 2204.08376), a crop is altered inside a soft mask and the mask is what is to be found.
"""

from tamperscan.detect.pretexts.alterations import ALTERATIONS, Denoise, Material
from tamperscan.detect.pretexts.forging import ForgedCrop, forge_crop

__all__ = ["ALTERATIONS", "Denoise", "ForgedCrop", "Material", "forge_crop"]
