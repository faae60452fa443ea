"""Redis URLs: one reading for the client, the broker and what is shown."""

import pytest
from kombu.connection import Connection

from configs.redis_url import CREDENTIALS, parse_redis_url


@pytest.mark.parametrize(
    ("url", "client", "broker", "masked"),
    [
        ("redis://h", "redis://h:6379/0", "redis://h:6379/0", "redis://h:6379/0"),
        ("redis://:p%2Fw@h:1/2", "redis://:p%2Fw@h:1/2", "redis://:p%2Fw@h:1/2", "redis://:***@h:1/2"),
        ("redis://[::1]:1/2", "redis://[::1]:1/2", "redis://[::1]:1/2", "redis://[::1]:1/2"),
        ("redis://h?password=pw&username=u&db=3", "redis://u:pw@h:6379/3", "redis://u:pw@h:6379/3", "redis://u:***@h:6379/3"),
        (
            "rediss://u:pw@h:1/2?ssl_ca_certs=/ca.pem",
            "rediss://u:pw@h:1/2?ssl_cert_reqs=required&ssl_ca_certs=/ca.pem",
            "rediss://u:pw@h:1/2?ssl_cert_reqs=required&ssl_ca_certs=/ca.pem",
            "rediss://u:***@h:1/2?ssl_cert_reqs=required&ssl_ca_certs=/ca.pem",
        ),
        (
            "unix:///run/r.sock?db=3&password=pw",
            "unix://:pw@/run/r.sock?db=3",
            f"redis+socket:///run/r.sock?virtual_host=3&credential_provider={CREDENTIALS}",
            "unix://:***@/run/r.sock?db=3",
        ),
        (
            "unix://u:pw@/run/r.sock",
            "unix://u:pw@/run/r.sock?db=0",
            f"redis+socket:///run/r.sock?virtual_host=0&credential_provider={CREDENTIALS}",
            "unix://u:***@/run/r.sock?db=0",
        ),
        ("unix:///r.sock", "unix:///r.sock?db=0", "redis+socket:///r.sock?virtual_host=0", "unix:///r.sock?db=0"),
    ],
)  # fmt: skip
def test_redis_url_is_the_same_address_for_client_broker_and_display(
    url: str, client: str, broker: str, masked: str
) -> None:
    address = parse_redis_url(url)

    assert (address.client_url, address.broker_url, address.masked) == (client, broker, masked)
    assert parse_redis_url(address.client_url) == address
    assert "pw" not in repr(address)
    assert "pw" not in f"{Connection(broker)!r} {Connection(broker).as_uri()}"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h", "begins with redis://"),
        ("redis://:geheim@h:x/0", "port is a number"),
        ("redis://:geheim@h/x", "database is a number"),
        ("redis://:geheim@h?socket_timeout=5", "options are among db, password, username"),
        ("redis://:geheim@h?ssl_cert_reqs=none", "options are among db, password, username"),
        ("rediss://:geheim@h?ssl_cert_reqs=geheim", "one of required, optional, none"),
        ("unix://run/r.sock?password=geheim", "three slashes"),
        ("unix://?password=geheim", "three slashes"),
        ("redis://:geheim\N{CARE OF}@h/0", "special characters of the login as %XX"),
        ("redis://:geheim@[::1/0", "an IPv6 address in"),
    ],
)
def test_redis_url_that_not_every_part_reads_alike_is_rejected_unprinted(url: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected) as caught:
        parse_redis_url(url)

    assert "geheim" not in str(caught.value)
