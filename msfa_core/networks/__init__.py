"""Network architectures: (n, 1, 2430) in, (n, n_classes) logits out."""
