"""What decides and acts for people, put together alike in the bot and in a command that runs beside it.

A command is one more replica: what it does to a rollout is fenced by that rollout's lease, and what shall be shown in
Slack is written to the store, from where the bot brings it there.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.adapters import Adapters, alarm_kinds, approval_rules
from bot.audit_keys import keyring
from bot.realms import access_rules
from bot.settings import Settings
from core.ids import Channel
from core.ports import Clock
from flows.acts import AllActs
from flows.approvals.book import ApprovalBook
from flows.approvals.carrying import Carrying
from flows.approvals.desk import Approvals
from flows.approvals.login import PREFIX, FreshLogin
from flows.gate import Gate
from flows.links import LinkDesk
from flows.orders import RolloutOrders
from flows.release.acts import ReleaseActs
from flows.release.bundle import Bundles
from flows.release.desk import ReleaseDesk
from flows.release.making import ReleaseMaker
from flows.release.reading import ReleaseReader
from flows.rollouts.acts import RolloutActs
from flows.rollouts.alarms import RolloutAlarms
from flows.rollouts.brakes import Brakes
from flows.rollouts.device_acts import DeviceActs
from flows.rollouts.device_work import DeviceWorks
from flows.rollouts.ledger import Ledger
from flows.rollouts.promote import Promoter
from flows.rollouts.reboot_runs import RebootRuns
from flows.rollouts.reboots import RebootActs
from flows.rollouts.settle import Settler
from flows.rollouts.start import Starter
from flows.trips import Trips
from flows.world import World
from integrations.store.approvals import ApprovalStore
from integrations.store.audit import AuditLog
from integrations.store.connection import Store
from integrations.store.incidents import Incidents
from integrations.store.leases import Leases
from integrations.store.outbox import Outbox
from integrations.store.people import Links, LinkStates, RememberedYes
from integrations.store.previous_sets import PreviousSets
from integrations.store.reboots import Reboots
from integrations.store.releases import ReleaseStore
from integrations.store.rollouts import RolloutStore


@dataclass(frozen=True, slots=True)
class Deciding:
    """The gate, and what people do through it that needs no Slack."""

    world: World
    audit: AuditLog
    outbox: Outbox
    leases: Leases
    links: Links
    gate: Gate
    ledger: Ledger
    settler: Settler
    promoter: Promoter
    brakes: Brakes
    reboots: RebootRuns
    works: DeviceWorks
    maker: ReleaseMaker
    releases: ReleaseDesk
    bundles: Bundles
    acts: AllActs
    orders: RolloutOrders
    approvals: Approvals
    linked: LinkDesk


def build_deciding(settings: Settings, adapters: Adapters, store: Store, clock: Clock) -> Deciding:
    """Asks no other system. Raises SecretMissing where the audit's key cannot be read."""
    world, realms = World(adapters.stacks, clock), tuple(adapters.realms)
    links, remembered = Links(store, realms), RememberedYes(store, clock, realms)
    audit, outbox, leases = AuditLog(store, clock, keyring(settings)), Outbox(store, clock), Leases(store, clock)
    gate = Gate(
        team=settings.slack.team,
        roles=adapters.roles,
        links=links,
        members=adapters.posts,
        rules=access_rules(settings),
        audit=audit,
        remembered=remembered,
        clock=clock,
    )
    records = RolloutStore(store)
    alarms = RolloutAlarms(store, clock, alarm_kinds(settings))
    ledger = Ledger(records, leases, audit, outbox, clock, alarms)
    settler = Settler(ledger)
    promoter, brakes = Promoter(adapters.sites, ledger, settler), Brakes(adapters.sites, ledger)
    drafts = ReleaseStore(store)
    reader = ReleaseReader(world=world, sites=adapters.sites, incidents=Incidents(store), clock=clock)
    maker = ReleaseMaker(
        reader=reader, sites=adapters.sites, ledger=ledger, releases=drafts, previous=PreviousSets(store)
    )
    reboots, works = Reboots(store), DeviceWorks(adapters.sites, ledger)
    acts = AllActs(
        [
            RolloutActs(
                world=world,
                sites=adapters.sites,
                ledger=ledger,
                promoter=promoter,
                brakes=brakes,
                starter=Starter(adapters.sites, ledger),
            ),
            RebootActs(world=world, sites=adapters.sites, ledger=ledger, under_way=reboots),
            DeviceActs(world=world, works=works),
            ReleaseActs(world=world, reader=reader, maker=maker, releases=drafts),
        ]
    )
    rules, public_url = approval_rules(settings), settings.server.public_url
    fresh = FreshLogin(
        trips=Trips(
            prefix=PREFIX,
            states=LinkStates(store),
            logins={realm: one.login for realm, one in adapters.realms.items()},
            public_url=public_url,
        ),
        audit=audit,
        clock=clock,
        public_url=public_url,
        acr={realm: one.section.step_up_acr for realm, one in adapters.realms.items()},
    )
    book = ApprovalBook(
        store=ApprovalStore(store),
        leases=leases,
        audit=audit,
        outbox=outbox,
        clock=clock,
        admins=Channel(settings.slack.admin_channel),
    )
    carrying = Carrying(gate=gate, acts=acts, book=book, clock=clock)
    return Deciding(
        world=world,
        audit=audit,
        outbox=outbox,
        leases=leases,
        links=links,
        gate=gate,
        ledger=ledger,
        settler=settler,
        promoter=promoter,
        brakes=brakes,
        reboots=RebootRuns(sites=adapters.sites, ledger=ledger, under_way=reboots),
        works=works,
        maker=maker,
        bundles=Bundles(world=world, gate=gate, audit=audit),
        releases=ReleaseDesk(world=world, gate=gate, reader=reader, releases=drafts),
        acts=acts,
        orders=RolloutOrders(world=world, gate=gate, acts=acts, records=records, rules=rules),
        approvals=Approvals(gate=gate, acts=acts, book=book, carrying=carrying, fresh=fresh, rules=rules, clock=clock),
        linked=LinkDesk(gate=gate, links=links, roles=adapters.roles, audit=audit, remembered=remembered),
    )
