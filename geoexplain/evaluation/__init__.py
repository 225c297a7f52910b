"""How well a model does: accuracy at radii, calibration, localizability."""
