import copy
import json
import pickle
import traceback

import pytest

from landbridge.domain.errors import OperatorError
from landbridge.identity.sealing import Secret, SecretSeal

KEY = b"k" * 32


def test_a_secret_shows_itself_only_when_asked():
    secret = Secret("hunter2")

    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r}", "%s" % secret, repr([secret])):  # noqa: UP031
        assert "hunter2" not in shown
        assert "[redacted]" in shown
    assert secret.reveal() == "hunter2"


def test_a_secret_is_not_written_by_serialisers():
    with pytest.raises(TypeError):
        pickle.dumps(Secret("hunter2"))
    with pytest.raises(TypeError):
        copy.deepcopy(Secret("hunter2"))
    with pytest.raises(TypeError):
        json.dumps(Secret("hunter2"))


def test_equal_secrets_are_equal_and_others_are_not():
    assert Secret("a\ud800") == Secret("a\ud800")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def test_what_was_sealed_opens_again_and_does_not_show():
    sealed = SecretSeal(KEY).seal("AK1", Secret("säcret"))

    assert SecretSeal(KEY).unseal("AK1", sealed) == Secret("säcret")
    assert "säcret".encode() not in sealed
    assert sealed != SecretSeal(KEY).seal("AK1", Secret("säcret"))


@pytest.mark.parametrize(
    ("key", "access_key", "damage"),
    [
        (b"x" * 32, "AK1", lambda sealed: sealed),
        (KEY, "AK2", lambda sealed: sealed),
        (KEY, "AK1", lambda sealed: sealed[:-1]),
        (KEY, "AK1", lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (KEY, "AK1", lambda sealed: b"\x02" + sealed[1:]),
        (KEY, "AK1", lambda sealed: sealed[:5]),
        (KEY, "AK1", lambda _: b""),
    ],
    ids=["other key", "other access key", "cut", "flipped", "other format", "only a piece", "empty"],
)
def test_what_does_not_open_is_the_operators_concern_and_shows_nothing(key, access_key, damage):
    sealed = damage(SecretSeal(KEY).seal("AK1", Secret("hunter2")))

    with pytest.raises(OperatorError, match="sealing key") as refusal:
        SecretSeal(key).unseal(access_key, sealed)
    assert "hunter2" not in "".join(traceback.format_exception(refusal.value))


def test_a_short_key_is_refused_and_a_seal_does_not_show_its_key():
    with pytest.raises(OperatorError, match="31 bytes"):
        SecretSeal(b"k" * 31)
    assert "kkk" not in repr(SecretSeal(KEY))
