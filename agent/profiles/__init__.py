"""How device families are polled: the language of profile files, and what it makes of a device's answers."""
