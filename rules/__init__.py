"""Rules over series: language, incremental functions, engine. Knows no I/O and no clock; time enters as data."""
