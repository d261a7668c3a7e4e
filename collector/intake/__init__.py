"""From the broker's messages to committed journal entries, and back to the agents as acknowledgements."""
