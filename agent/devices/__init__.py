"""What is known of a device between two polls: its sources, how each stands, who it is."""
