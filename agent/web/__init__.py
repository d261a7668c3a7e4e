"""Web interfaces of devices: one bounded request at a time, who we are to them, and what their answers mean."""
