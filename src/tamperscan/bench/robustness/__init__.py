"""What laundering does to a detector: the same scans after treatments that are meant to hide tampering."""
