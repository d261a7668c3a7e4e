"""The rules as a projection of the journal: their state, what they find, and what the register learns beside."""
