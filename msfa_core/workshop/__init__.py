"""Where the shipped files are made; nothing that users run needs it (see README.md here)."""
