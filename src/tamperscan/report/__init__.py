"""What a person or a machine receives of a screening: a page, a JSON document, pictures, a summary."""

from tamperscan.report.schema import ScreeningDocument, json_schema, screening_document
from tamperscan.report.write import ReportFiles, write_report

__all__ = ["ReportFiles", "ScreeningDocument", "json_schema", "screening_document", "write_report"]
