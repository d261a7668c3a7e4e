"""The HTTP face of the collector: /api/v1, /metrics, /livez, /readyz."""
