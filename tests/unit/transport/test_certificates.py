"""Which certificate and key are taken, and what is said about the others."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from landbridge.domain.errors import OperatorError
from landbridge.transport.certificates import Certificates
from tests.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path)


def test_a_pair_is_taken_and_its_end_is_known(authority: Authority):
    certificates = Certificates(*authority.write_pair("one", days=30))

    left = certificates.loaded.expires_at - datetime.now(UTC)
    assert timedelta(days=29) < left <= timedelta(days=30)
    assert not certificates.loaded.is_key_open
    assert certificates.context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_key_of_another_certificate_is_refused(authority: Authority):
    certificate, _ = authority.write_pair("one")
    _, key = authority.write_pair("other")

    with pytest.raises(OperatorError, match=r"other\.key does not belong to the certificate .*one\.crt"):
        Certificates(certificate, key)


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_passphrase(authority: Authority):
    with pytest.raises(OperatorError, match="without a passphrase"):
        Certificates(*authority.write_pair("one", passphrase=b"hidden"))


def test_files_that_are_not_there_are_named(authority: Authority):
    certificate, key = authority.write_pair("one")

    with pytest.raises(OperatorError, match=r"nowhere\.crt: No such file"):
        Certificates(Path("nowhere.crt"), key)
    with pytest.raises(OperatorError, match=r"nowhere\.key: No such file"):
        Certificates(certificate, Path("nowhere.key"))


def test_files_that_hold_something_else_are_named(authority: Authority, tmp_path: Path):
    certificate, key = authority.write_pair("one")
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense\n")

    with pytest.raises(OperatorError, match="nonsense holds no certificate in PEM form"):
        Certificates(nonsense, key)
    with pytest.raises(OperatorError, match="nonsense holds no private key in PEM form"):
        Certificates(certificate, nonsense)


def test_a_key_that_others_may_read_is_noticed(authority: Authority):
    certificate, key = authority.write_pair("one")
    key.chmod(0o644)

    assert Certificates(certificate, key).loaded.is_key_open


def test_a_reload_that_fails_changes_nothing(authority: Authority):
    certificate, key = authority.write_pair("one")
    certificates = Certificates(certificate, key)
    before = certificates.loaded
    certificate.write_text("half a fi")

    with pytest.raises(OperatorError):
        certificates.reload()

    assert certificates.loaded is before


def test_a_reload_takes_the_new_pair(authority: Authority):
    certificate, key = authority.write_pair("one")
    certificates = Certificates(certificate, key)
    before = certificates.loaded.fingerprint
    authority.write_pair("one")

    assert certificates.reload().fingerprint != before
