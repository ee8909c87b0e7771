"""A survey beside a reference table: what agrees, how far the rest is off, and how sure that is."""
