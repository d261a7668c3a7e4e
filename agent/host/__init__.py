"""This machine as a device of its own: load, memory, disks and their health, volumes, interfaces, sensors, services.

Rates are differences over a clock that nobody sets; the first reading has none. What an operating system does not tell
is null, never 0. psutil is known to `agent.host.system` alone.

Errors: none; a part that cannot be read leaves its values null and says why.
"""

from agent.host.machine import Host, Wanted, of
from agent.host.parts import Unread

__all__ = ["Host", "Unread", "Wanted", "of"]
