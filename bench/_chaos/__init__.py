"""Parts of the chaos bench: real programs, stopped and killed at named moments, and the proof afterwards."""
