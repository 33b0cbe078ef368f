"""Options that point a contract suite at a real server instead of its stand-in."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    slack = parser.getgroup("slack", "a real Slack workspace for tests/contract/slack")
    slack.addoption("--slack-url", default="", help="Web API base, e.g. https://slack.com/api/")
    slack.addoption("--slack-token", default="", help="bot token; posts, updates and deletes its own messages")
    slack.addoption("--slack-channel", default="", help="id of a channel the bot is in")
    hawkbit = parser.getgroup("hawkbit", "a real hawkBit server for tests/contract/hawkbit")
    hawkbit.addoption("--hawkbit-url", default="", help="base URL, without /rest/v1")
    hawkbit.addoption("--hawkbit-user", default="admin", help="a tenant administrator of that server")
    hawkbit.addoption("--hawkbit-password", default="admin")
    thingsboard = parser.getgroup("thingsboard", "a real ThingsBoard server for tests/contract/thingsboard")
    thingsboard.addoption("--thingsboard-url", default="", help="base URL; it must be able to reach 127.0.0.1 here")
    thingsboard.addoption("--thingsboard-user", default="sysadmin@thingsboard.org", help="a system administrator")
    thingsboard.addoption("--thingsboard-password", default="sysadmin")
    thingsboard.addoption("--thingsboard-version", default="4.2.1", help="that server's version")
    keycloak = parser.getgroup("keycloak", "another Keycloak, with the realm of sandbox/keycloak")
    keycloak.addoption("--keycloak-url", default="", help="base URL; instead of the server the tests boot themselves")
    keycloak.addoption("--keycloak-user", default="admin", help="an administrator of realm master")
    keycloak.addoption("--keycloak-password", default="admin")
