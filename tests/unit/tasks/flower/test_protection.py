"""The check of a login of Flower."""

import base64

import pytest

from tasks.flower.protection import is_login

LOGINS = ("trader:secret", "müller:geheim:ß")


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("login", LOGINS)
def test_login_with_user_and_password_is_accepted(login: str) -> None:
    assert is_login(basic(login), LOGINS)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic ü",
        "Bearer x",
        basic("trader:"),
        basic("trader:secret "),
        basic("ß:ß"),
    ],
)
def test_login_that_is_wrong_or_malformed_is_rejected(header: str) -> None:
    assert not is_login(header, LOGINS)
