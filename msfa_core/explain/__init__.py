"""Why the networks said what they said, and how far to trust it: saliency and novelty."""
