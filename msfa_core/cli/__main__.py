"""``python -m msfa_core.cli`` is ``msfa``."""

from msfa_core.cli import main

if __name__ == "__main__":
    main()
