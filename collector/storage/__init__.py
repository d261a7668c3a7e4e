"""Where the collector keeps what is relational: two databases, their tables, and what can go wrong with them."""
