"""One file per panel: figure functions and a thin viewer."""
