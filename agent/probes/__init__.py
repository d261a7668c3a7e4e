"""Probes: whether a device answers, and how, without a word of its own language: ICMP, TCP, HTTP, RTSP, NTP."""
