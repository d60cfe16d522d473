"""A screening as DICOM, in the patient's own study: segmentation, suspicion map, report, key images, PDF."""

from tamperscan.report.dicom.sources import from_dicom
from tamperscan.report.dicom.write import DicomResults, write_dicom_results

__all__ = ["DicomResults", "from_dicom", "write_dicom_results"]
