"""Pure functions from graphs to facts and tables."""
