"""Other people's detectors, and ours, behind one interface: each turns an image into a map of numbers."""
