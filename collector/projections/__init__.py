"""How what is derived from the journal is run: in order, each from its own cursor."""
