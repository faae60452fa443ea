"""Fixtures of all tests."""

import signal

from hypothesis import HealthCheck, settings

pytest_plugins = (
    "tests.fixtures.servers.databases",
    "tests.fixtures.servers.redis_server",
    "tests.fixtures.apps.system",
)

# Upon whatever Hypothesis has chosen for this machine: how long an example takes says more of the machine than of us.
settings.register_profile(
    "patient",
    settings.get_profile(settings.get_current_profile_name()),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell does so to what it puts into the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # else what we start would not hear Ctrl-C either
