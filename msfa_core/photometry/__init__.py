"""What Gaia and 2MASS say of a star."""
