"""What holds for every test."""

import os

from hypothesis import HealthCheck, settings

# No test fails because a machine is slow. CI says the same of the same commit twice;
# it is everybody else's runs that meet new examples.
settings.register_profile(
    "dcmrecv",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("dcmrecv")
