"""Signatures of the messages between the steps.

Whoever can write to Redis can put a message into a queue. A step signs the message for the next one with a key that
Redis does not hold, and a step executes nothing that is not signed. The signature is a header of the Celery message;
it covers the task, the symbol, the deadline and the text of the message.
"""

import hmac

from celery import Task

SIGNATURE_HEADER = "message_signature"


def signature_of(key: bytes, *, task: str, symbol: str, deadline_ms: int, text: str) -> str:
    """Return the signature of a message (HMAC with SHA-256, RFC 2104) as hexadecimal digits.

    Args:
        task: Name of the task that may execute it.
    """
    return hmac.digest(key, _bytes(f"{task}\n{symbol}\n{deadline_ms}\n{text}"), "sha256").hex()


def is_signature(found: object, expected: str) -> bool:
    """Return whether the header of a message holds the expected signature, in constant time."""
    return isinstance(found, str) and hmac.compare_digest(_bytes(found), _bytes(expected))


def sign_next(task: Task, key: bytes, *, symbol: str, deadline_ms: int, text: str) -> None:
    """Sign the message of a step for the step that follows in its chain; without one there is nothing to sign."""
    if not task.request.chain:
        return
    following = task.request.chain[-1]
    options = following.setdefault("options", {})
    signature = signature_of(key, task=following["task"], symbol=symbol, deadline_ms=deadline_ms, text=text)
    options["headers"] = {**options.get("headers", {}), SIGNATURE_HEADER: signature}


def _bytes(text: str) -> bytes:
    """Encode a text of a message: JSON may hold half of a surrogate pair, which UTF-8 has no code for."""
    return text.encode("utf-8", "surrogatepass")
