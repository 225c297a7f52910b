"""Geolocation models: backbone, head, checkpoints, predictions, gallery and gate."""
