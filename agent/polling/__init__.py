"""One device after another in its own slot: how each is spoken to, how it stands, which device it is and where it hangs."""
