"""From a scan to a verdict: where to look, what is measured there, and how often authentic scans score as high."""
