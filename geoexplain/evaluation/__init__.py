"""Evaluate models and explanations over sets of images."""
