"""The noise predictor: schedules, networks, training, weights. Knows arrays in model units, and no scans."""
