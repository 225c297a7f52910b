"""What people see: heatmaps as colours, predictions on a map."""
