"""The journal: what was committed, how it is read, what it proves and what could not be applied."""
