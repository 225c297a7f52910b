"""Output for people and scripts: heatmaps in colour, predictions on maps, texts and records."""
