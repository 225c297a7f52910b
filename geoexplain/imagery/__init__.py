"""Whole-earth imagery, and the views of Earth from above sampled from it: cameras, skies and seasons included."""
