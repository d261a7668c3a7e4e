"""What devices report by themselves: SNMP traps and informs (v1, v2c, v3) become events, and their device is polled.

pysnmp hears them in a child process of its own, `agent.traps.receiver`, that runs only while traps are on and the
consent grants them; what it decoded comes over a pipe to `agent.traps.listener` in the agent.
"""
