"""The noise predictor: schedules, networks, training, weights, and how it runs. Knows arrays in model units, no scans."""
