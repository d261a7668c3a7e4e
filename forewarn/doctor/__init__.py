"""What the doctors of agent and collector share: the form of a diagnosis, and what both sides stand on.

`forewarn agent doctor` and `forewarn collector doctor` look at one side; `commands` is `forewarn doctor`, which looks
at whatever is set up on this machine. Nothing here changes anything: what runs is asked, never opened a second time.
"""
