"""What a demonstration needs that a real site brings itself: devices that answer, and faults that come on cue."""
