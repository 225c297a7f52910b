"""Why there: activations and gradients, class activation maps, and their combination."""
