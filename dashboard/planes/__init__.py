"""The machine of all planes: axes, layers of stars, guides, and the view that links them."""
