"""Notices: what leaves the collector for people and other systems, at least once, from a transactional outbox."""
