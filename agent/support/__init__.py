"""Recordings of devices for support, with nothing in them that tells whose they are."""
