"""ONVIF device and media services, read only."""
