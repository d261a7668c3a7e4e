"""From a reading to a record the collector has committed: the door, the spool on disk, the uplink."""
