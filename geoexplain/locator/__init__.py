"""Which cell: backbone, head, model, checkpoints and predictions."""
