"""One spectrum: what it is, where it comes from, how it is made ready."""
