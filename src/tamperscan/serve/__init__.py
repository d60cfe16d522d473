"""What stands beside the PACS: the DICOM node, the audit trail, DICOMweb and the page."""
