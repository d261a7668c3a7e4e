"""Hikvision's HTTP interface, read only."""
