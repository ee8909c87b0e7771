"""The vetting app: draws and asks, never computes."""
