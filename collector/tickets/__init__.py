"""Tickets: what is wrong, why, and who does what about it. Their history is append-only."""
