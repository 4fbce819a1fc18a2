"""Defaults, the settings file, flags: the later wins."""

from pathlib import Path

import pytest

from landbridge.domain.errors import OperatorError
from landbridge.settings import Settings, read_settings


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "landbridge.toml"
    path.write_text(text)
    return path


def test_flags_win_over_the_file_and_the_file_over_the_defaults(tmp_path: Path):
    path = written(tmp_path, 'listen = "127.0.0.1:1"\nregion = "here"\nsweep_interval_seconds = 5\n')

    settings = read_settings(path, listen="127.0.0.1:2", public_url=None)

    assert settings == Settings(listen="127.0.0.1:2", region="here", sweep_interval_seconds=5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lisen = 'x'", "lisen is no setting"),
        ("listen = 8770", "listen must be a text"),
        ("sweep_interval_seconds = 'often'", "sweep_interval_seconds must be a number"),
        ("sweep_interval_seconds = true", "sweep_interval_seconds must be a number"),
        ("driver = 'ovs'", "write linux or memory"),
        ("tag_limits = 'huge'", "write standard or modern"),
        ("log_level = 'loud'", "write DEBUG, INFO, WARNING or ERROR"),
        ("region = 'eu.west'", "without a dot"),
        ("listen = ", "cannot read"),
        ("trusted_proxies = '10.0.0.5'", "trusted_proxies must be a list of texts"),
        ("trusted_proxies = [10]", "trusted_proxies must be a list of texts"),
        ("rate_requests_per_second = 0.5", "rate_requests_per_second must be a whole number"),
        ("rate_requests_per_second = -1", "write 0 for no limit"),
        ("rate_failed_signins_per_minute = -1", "write 0 for no limit"),
        ("quota_endpoints = -1", "write 0 to allow none"),
        ("quota_endpoint_services = 'many'", "quota_endpoint_services must be a whole number"),
        ("whitelist_limit = 0", "write a number from 1 to 1000"),
        ("whitelist_limit = 1001", "write a number from 1 to 1000"),
        ("connections_per_endpoint = 0", "write a number from 1 to 64512"),
        ("connections_per_endpoint = 64513", "which has no more ports for one server port"),
        ("rate_burst = 0", "rate_burst must be at least 1"),
        ("rate_burst = true", "rate_burst must be a whole number"),
        ("request_timeout_seconds = 0", "request_timeout_seconds must be above 0"),
        ("request_timeout_seconds = inf", "request_timeout_seconds must be a number"),
        ("tls_cert = 'server.crt'", "tls_cert and tls_key belong together"),
        ("tls_key = 'server.key'", "tls_cert and tls_key belong together"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, message: str):
    with pytest.raises(OperatorError, match=message):
        read_settings(written(tmp_path, text))


def test_a_list_is_kept_as_it_was_written_and_a_flag_replaces_it_as_a_whole(tmp_path: Path):
    path = written(tmp_path, 'trusted_proxies = ["10.0.0.5", "10.0.1.0/24"]\n')

    assert read_settings(path, trusted_proxies=()).trusted_proxies == ("10.0.0.5", "10.0.1.0/24")
    assert read_settings(path, trusted_proxies=("::1",)).trusted_proxies == ("::1",)


def test_what_nobody_chose_is_told_from_what_was_switched_off(tmp_path: Path):
    chosen = read_settings(written(tmp_path, "rate_requests_per_second = 0\n"))

    assert chosen.rate_requests_per_second == 0
    assert chosen.rate_failed_signins_per_minute is None


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(OperatorError, match=r"nowhere\.toml"):
        read_settings(tmp_path / "nowhere.toml")
