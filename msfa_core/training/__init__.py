"""How the networks get their weights."""
