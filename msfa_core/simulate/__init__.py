"""A survey with known truth."""
