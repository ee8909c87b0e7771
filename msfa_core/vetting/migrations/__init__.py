"""Versions of the decision store, run by Alembic when a store is opened."""
