"""DICOMweb: finding and fetching studies (QIDO-RS, WADO-RS), and storing instances (STOW-RS)."""
