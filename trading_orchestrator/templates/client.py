"""The connection to the exchange: JSON over HTTP, with errors named by the reaction they call for."""

import urllib.error
import urllib.request
from typing import Any, TypeVar

import msgspec

from trading.errors import Rejected, Transient

T = TypeVar("T")

WHERE = "acme"
NOT_NOW = {408, 429}
"""Codes of answers that may differ when the call is made again; so may all from 500 on."""


class Client:
    """Calls the exchange. It keeps no connection, so it may be used by any thread and after a fork."""

    def __init__(self, url: str, *, timeout_s: float = 5.0) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s

    def call(self, method: str, arguments: Any, answer: type[T]) -> T:
        """Call `method` and return its answer, checked against the type `answer`.

        Raises:
            Rejected: The exchange rejects the call (any other 4xx); nothing has changed.
            Transient: No answer, or an unreadable one; it is unknown whether the call took effect.
        """
        request = urllib.request.Request(f"{self._url}/{method}", msgspec.json.encode(arguments), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as response:
                return msgspec.json.decode(response.read(), type=answer)
        except urllib.error.HTTPError as error:
            with error:
                raise _error_of(error.code, error.read().decode(errors="replace")) from error
        except (OSError, msgspec.MsgspecError) as error:  # URLError and TimeoutError are OSErrors
            raise Transient(WHERE, f"no answer to {method}: {error}") from error


def _error_of(code: int, text: str) -> Exception:
    if code in NOT_NOW or code >= 500:
        return Transient(WHERE, f"HTTP {code}: {text}")
    return Rejected(f"acme_{code}", text)
