"""Figures, measured: `python -m bench NAME [--quick] [--json]`."""
