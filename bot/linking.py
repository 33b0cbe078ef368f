"""Which way people link: by a browser that comes back to the bot, or by Keycloak's device grant."""

from __future__ import annotations

from dataclasses import dataclass

from bot.adapters import Adapters
from bot.settings import Settings
from core.ports import Clock
from flows.linking.browser import Linking
from flows.linking.codes import CodeDesk
from flows.linking.device import DeviceLinking
from flows.linking.notary import Notary
from integrations.store.audit import AuditLog
from integrations.store.connection import Store
from integrations.store.leases import Leases
from integrations.store.link_grants import LinkGrants
from integrations.store.outbox import Outbox
from integrations.store.people import LinkCodes, Links, LinkStates


@dataclass(frozen=True, slots=True)
class LinkWays:
    """`way` is what `/cdm link` begins. The browser's pages are always there: what began before ends there."""

    way: Linking | DeviceLinking
    browser: Linking
    device: DeviceLinking | None


def link_ways(
    settings: Settings,
    adapters: Adapters,
    store: Store,
    *,
    audit: AuditLog,
    outbox: Outbox,
    leases: Leases,
    clock: Clock,
) -> LinkWays:
    notary = Notary(links=Links(store), audit=audit, members=adapters.posts, team=settings.slack.team, clock=clock)
    browser = Linking(
        states=LinkStates(store),
        codes=CodeDesk(codes=LinkCodes(store), notary=notary),
        notary=notary,
        login=adapters.login,
        public_url=settings.server.public_url,
    )
    if adapters.device is not None:
        device = DeviceLinking(
            grants=LinkGrants(store),
            logins=adapters.device,
            verifier=adapters.login,
            states=LinkStates(store),
            notary=notary,
            answers=outbox,
            leases=leases,
            clock=clock,
        )
        return LinkWays(device, browser, device)
    return LinkWays(browser, browser, None)
