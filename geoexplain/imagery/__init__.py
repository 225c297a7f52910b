"""Whole-earth imagery, and views of Earth from above sampled from it with random cameras, skies and colours."""
