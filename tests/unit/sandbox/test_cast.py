"""How the sandbox shares out its fleet, and how it fills in the wiring that ships with the bot."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from sandbox import wiring
from sandbox.cast import ADMIN_NAMES, CHANNELS, MOST_DEVICES, PEOPLE, TENANTS, split
from sandbox.keycloak.realm import Realm


def test_five_hundred_devices_are_shared_out_200_150_150() -> None:
    assert split(500) == {"customer-a": 200, "customer-b": 150, "customer-c": 150}


@pytest.mark.parametrize("devices", [3, 12, 99, MOST_DEVICES])
def test_every_device_has_a_tenant_and_an_address_in_its_range(devices: int) -> None:
    counts = split(devices)
    assert sum(counts.values()) == devices
    for tenant in TENANTS:
        assert counts[tenant.id] >= 1
        assert ip_address(tenant.address(counts[tenant.id])) in ip_network(tenant.range)


def test_more_devices_than_there_are_addresses_are_refused() -> None:
    with pytest.raises(ValueError, match="between 3 and 600"):
        split(MOST_DEVICES + 1)


def test_everybody_who_can_link_has_an_account_with_that_address_in_the_realm() -> None:
    realm = Realm.load()
    for person in PEOPLE.values():
        account = realm.by_username(person.name)
        assert (account is not None) == person.linked
        assert account is None or (account.email, account.email_verified, account.enabled) == (person.email, True, True)


def test_two_admins_are_there_so_that_one_can_approve_what_the_other_asks_for() -> None:
    realm = Realm.load()
    accounts = [realm.by_username(name) for name in ADMIN_NAMES]
    assert ["cdm-admin" in account.roles for account in accounts if account] == [True, True]
    assert all(set(ADMIN_NAMES) <= set(members) for members in CHANNELS.values())


def test_the_wiring_gets_the_bots_address_and_the_tenants_secret() -> None:
    documents = wiring.filled_in(wiring.DOCUMENTS.read_text(), bot_url="http://127.0.0.1:1", secret="s-1")
    nodes = documents["rule_chain"]["metadata"]["nodes"]
    (call,) = (node["configuration"] for node in nodes if node["type"].endswith("TbRestApiCallNode"))
    assert call["restEndpointUrlPattern"] == "http://127.0.0.1:1/webhooks/thingsboard/eu1"
    assert call["headers"]["Authorization"] == "Bearer s-1"


def test_wiring_without_the_marked_places_is_refused_and_not_installed_half_filled() -> None:
    with pytest.raises(ValueError, match="REPLACE-WITH"):
        wiring.filled_in('{"url": "https://chatops.example.com"}', bot_url="http://127.0.0.1:1", secret="s-1")
