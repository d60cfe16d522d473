"""What a scan is, and how one is read from DICOM, NIfTI and NumPy files, folders, zips and DICOMDIRs."""

from tamperscan.scan.limits import Limits
from tamperscan.scan.read import PlannedScan, iter_scans, plan_scans, read_scan, read_scans
from tamperscan.scan.volume import Scan, pixel_sha256
from tamperscan.scan.windows import IntensityWindow

__all__ = [
    "IntensityWindow",
    "Limits",
    "PlannedScan",
    "Scan",
    "iter_scans",
    "pixel_sha256",
    "plan_scans",
    "read_scan",
    "read_scans",
]
