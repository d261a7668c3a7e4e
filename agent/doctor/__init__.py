"""`forewarn agent doctor`: everything an agent needs, looked at beside a running one or without it.

Nothing is polled outside the consent, nothing is published, and nothing that a running agent holds is opened: its
status file speaks for it.
"""
