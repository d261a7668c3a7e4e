"""Where series are kept: one Protocol, DuckDB embedded or InfluxDB, the same contract tests for both."""
