"""Explanations of a prediction: traces, class activation maps, combinations, attributions, and metrics of heatmaps."""
