"""Settings of Keystone: what is missing or makes no sense is named before the server starts."""

from pathlib import Path

import pytest

from landbridge.bootstrap.composing import RandomIds, ServeOptions, SystemClock
from landbridge.bootstrap.identities import choose_identity
from landbridge.bootstrap.serving import serve
from landbridge.domain.errors import OperatorError
from landbridge.identity.builtin import BuiltinIdentity
from landbridge.identity.state_keys import StateKeys
from landbridge.observability import Telemetry
from landbridge.settings import KEYSTONE_ROLES, Settings, read_settings
from tests.unit.identity.identity_world import RecordStore

ENOUGH = 'identity = "keystone"\nkeystone_url = "https://keystone.example:5000"\nkeystone_password_file = "/etc/p"\n'


def read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "landbridge.toml"
    path.write_text(text)
    return read_settings(path)


def chosen(settings: Settings):
    store: object = RecordStore()
    keys = StateKeys(b"s" * 32, b"e" * 32)
    return choose_identity(settings, store, keys, SystemClock(), RandomIds(), Telemetry("memory", "a-pool"))  # type: ignore[arg-type]


def test_an_address_and_a_password_are_enough(tmp_path: Path):
    settings = read(tmp_path, ENOUGH)

    assert (settings.keystone_user, settings.keystone_user_domain) == ("landbridge", "Default")
    assert (settings.keystone_timeout_seconds, settings.keystone_cache_seconds) == (5, 30)
    assert settings.keystone_roles == KEYSTONE_ROLES


def test_no_role_of_keystone_makes_an_operator_unless_the_settings_say_so(tmp_path: Path):
    assert "operator" not in KEYSTONE_ROLES.values()

    settings = read(tmp_path, f'{ENOUGH}[keystone_roles]\ncloud_admin = "operator"\n')

    assert settings.keystone_roles == {"cloud_admin": "operator"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('identity = "ldap"', "identity is 'ldap': write builtin or keystone"),
        ('keystone_url = "https://keystone.example"', 'write identity = "keystone"'),
        ('identity = "keystone"', "keystone_url is ''"),
        ('identity = "keystone"\nkeystone_url = "keystone.example:5000"', "such as https://"),
        ('identity = "keystone"\nkeystone_url = "https://keystone.example"', "set keystone_user and keystone_password"),
        (f'{ENOUGH}keystone_user = ""', "set keystone_user and keystone_password_file"),
        (f"{ENOUGH}keystone_timeout_seconds = 0", "keystone_timeout_seconds must be above 0"),
        (f"{ENOUGH}keystone_cache_seconds = -1", "keystone_cache_seconds must not be negative"),
        (f'{ENOUGH}keystone_roles = "admin"', "keystone_roles must be a table of texts"),
        (f"{ENOUGH}[keystone_roles]\nadmin = true", "keystone_roles must be a table of texts"),
        (f'{ENOUGH}[keystone_roles]\nadmin = "root"', "gives 'admin' the role 'root': write one of reader, member"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, message: str):
    with pytest.raises(OperatorError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize("setting", ["keystone_password_file", "keystone_ca_file"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, setting: str):
    there = tmp_path / "there"
    there.write_text("a password")
    files = {"keystone_password_file": there, "keystone_ca_file": there} | {setting: tmp_path / "not-there"}
    lines = "".join(f'{name} = "{path}"\n' for name, path in files.items())
    settings = read(tmp_path, f'identity = "keystone"\nkeystone_url = "https://keystone.example"\n{lines}')

    with pytest.raises(OperatorError, match=f"cannot read the {setting} .*not-there"):
        chosen(settings)


def test_without_keystone_our_own_users_count_and_tokens_are_given_out():
    identity = chosen(Settings())

    assert isinstance(identity.identity, BuiltinIdentity)
    assert identity.issuer is identity.identity


def test_a_lab_beside_keystone_is_refused_before_anything_is_made(tmp_path: Path):
    settings = read(tmp_path, ENOUGH)

    with pytest.raises(OperatorError, match="a lab brings its own projects and users: leave --lab out"):
        serve(settings, ServeOptions(tmp_path / "state", lab_file=tmp_path / "lab.yaml"))
    assert not (tmp_path / "state").exists()
