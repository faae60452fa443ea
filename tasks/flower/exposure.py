"""Exposure: the rules of what Flower may offer without a login, as values."""

import ipaddress
from collections.abc import Sequence

from msgspec import Struct

from configs.settings import PREFIX

_REMEDY = f"set {PREFIX}FLOWER_PASSWORD"


class Exposure(Struct, frozen=True):
    """The address, logins and interfaces that Flower is about to offer.

    Attributes:
        address: Address to listen on; empty for every address.
        unix_socket: Path of a socket in place of the address; Flower opens it to every user of the machine.
        logins: `user:password` of each login.
        has_oauth: Whether Flower asks another service who its user is.
        has_open_api: Whether requests without a login may start tasks.
    """

    address: str
    unix_socket: str = ""
    logins: Sequence[str] = ()
    has_oauth: bool = False
    has_open_api: bool = False

    @property
    def fault(self) -> str:
        """The reason not to start, with the action; empty when there is none."""
        if any(not login.partition(":")[2] for login in self.logins):
            return f"Flower has a login without a password; expected user:password: {_REMEDY}"
        if self.logins or self.has_oauth:
            return ""
        if self.unix_socket:
            return f"Flower on the socket {self.unix_socket} has no password, and every user can open it: {_REMEDY}"
        if not is_loopback(self.address):
            where = self.address or "every address"
            return f"Flower on {where} has no password; without one it listens on 127.0.0.1 only: {_REMEDY}"
        if self.has_open_api:
            return (
                "FLOWER_UNAUTHENTICATED_API lets every web page that this machine opens start tasks: "
                f"unset it, or {_REMEDY}"
            )
        return ""


def is_loopback(address: str) -> bool:
    """Return whether only this machine reaches an address; a name other than localhost counts as reachable."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
