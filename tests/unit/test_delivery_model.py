"""Whatever the network does and whoever dies when: each record is committed once, in order, or declared lost."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.delivery_model import Delivery

TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(
    max_examples=50, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
