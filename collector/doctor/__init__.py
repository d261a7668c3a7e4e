"""`forewarn collector doctor`: everything a collector needs, looked at beside a running one or without it.

Nothing is changed, no mail and no notice is sent, and what only one process may hold (its client id at the broker, the
DuckDB file) is left to the running one, which is asked instead.
"""
