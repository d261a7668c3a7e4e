"""forewarn foresees faults in surveillance systems. The bottom modules here are what agent and collector share."""
