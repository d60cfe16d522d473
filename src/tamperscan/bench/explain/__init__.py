"""Why the detector works: attribution of its score, spectra of what it sees, and its score by noise level."""
