"""Which way people link in each realm: by a browser that comes back to the bot, or by Keycloak's device grant."""

from __future__ import annotations

from dataclasses import dataclass

from bot.adapters import Adapters
from bot.settings import Settings
from core.ids import Realm
from core.ports import Clock
from flows.linking.browser import PREFIX, STATE_LIFE_S, Linking
from flows.linking.codes import CodeDesk
from flows.linking.device import DeviceLinking
from flows.linking.door import LinkDoor
from flows.linking.notary import Notary
from flows.linking.ports import LinkWay
from flows.trips import Trips
from integrations.store.audit import AuditLog
from integrations.store.connection import Store
from integrations.store.leases import Leases
from integrations.store.link_grants import LinkGrants
from integrations.store.outbox import Outbox
from integrations.store.people import LinkCodes, Links, LinkStates


@dataclass(frozen=True, slots=True)
class LinkWays:
    """`door` is what `/cdm link` opens. The browser's pages are always there: what began before ends there."""

    door: LinkDoor
    browser: Linking
    device: DeviceLinking | None


def link_ways(
    settings: Settings,
    adapters: Adapters,
    store: Store,
    *,
    links: Links,
    audit: AuditLog,
    outbox: Outbox,
    leases: Leases,
    clock: Clock,
) -> LinkWays:
    notary = Notary(links=links, audit=audit, members=adapters.posts, team=settings.slack.team, clock=clock)
    codes, states = CodeDesk(codes=LinkCodes(store), notary=notary), LinkStates(store)
    logins = {realm: one.login for realm, one in adapters.realms.items()}
    public_url = settings.server.public_url
    trips = Trips(prefix=PREFIX, states=states, logins=logins, public_url=public_url, life_s=STATE_LIFE_S)
    browser = Linking(trips=trips, codes=codes, notary=notary, public_url=public_url)
    ways: dict[Realm, LinkWay] = dict.fromkeys(logins, browser)
    grants = {realm: one.device for realm, one in adapters.realms.items() if one.device is not None}
    device = None
    if grants:
        device = DeviceLinking(
            grants=LinkGrants(store),
            logins=grants,
            verifiers=logins,
            states=states,
            notary=notary,
            answers=outbox,
            leases=leases,
            clock=clock,
        )
        ways |= dict.fromkeys(grants, device)
    names = {realm: one.section.called for realm, one in adapters.realms.items()}
    all_by_device = len(grants) == len(logins)
    door = LinkDoor(ways=ways, names=names, codes=None if all_by_device else codes, notary=notary)
    return LinkWays(door, browser, device)
