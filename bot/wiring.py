"""Puts one process together: adapters, store objects, flows, edges. Nothing runs yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import structlog
from fastapi import FastAPI
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.adapters import Adapters, alarm_kinds
from bot.deciding import build_deciding
from bot.health import Readiness
from bot.health import build_router as health_router
from bot.linking import LinkWays, link_ways
from bot.policy_book import CalendarWatch
from bot.secrets import Secret, SecretMissing
from bot.settings import Settings
from core.budgets import Budget, Budgets
from core.ids import Channel, Realm, Stack, Tenant
from core.ports import Clock
from flows.alarms import AlarmFold
from flows.anchors import AuditAnchors
from flows.approvals.carrying import Carrying
from flows.audit_desk import AuditDesk
from flows.incident_desk import IncidentDesk
from flows.incidents import IncidentActs
from flows.keycloak_watch import KeycloakWatch
from flows.outbox import OutboxWorker
from flows.outbox_calls import Exits
from flows.policy_changes import PolicyChanges
from flows.policy_desk import PolicyDesk
from flows.reconcile import Reconciler
from flows.release.making import ReleaseMaker
from flows.rollouts.looking import NO_RELAY, RelayBudget
from flows.rollouts.reboot_runs import RebootRuns
from flows.rollouts.watch import RolloutWatch
from flows.rollouts.why import WhyDesk
from flows.run_form import RunOffers
from flows.runs import Runs
from flows.stuck_desk import StuckDesk
from flows.updates import UpdateReader
from handlers.link.confirm import Confirming
from handlers.link.router import build_router as link_router
from handlers.slack.answers import Answers
from handlers.slack.approvals import ApprovalDesk
from handlers.slack.clicks import Clicks
from handlers.slack.commands import Commands
from handlers.slack.desk import SlackDesk
from handlers.slack.home import HomeDesk, HomeDoor
from handlers.slack.home_watch import HomeWatch
from handlers.slack.inbound import build_app as build_slack
from handlers.slack.inbound import build_router as slack_router
from handlers.slack.keep import Keeper
from handlers.slack.limit import RequestLimit
from handlers.slack.reasons import ReasonDoor
from handlers.slack.release_form import ReleaseDoor, ReleaseForms
from handlers.slack.run_form import FormDesk
from handlers.slack.views import FormDoor
from handlers.slack.work import WorkLoop
from handlers.webhooks.thingsboard import ThingsBoardWebhook
from integrations.store.budgets import Buckets
from integrations.store.connection import Store
from integrations.store.homes import Homes
from integrations.store.incidents import Incidents
from integrations.store.intake import Intake
from integrations.store.outbox import Outbox
from integrations.store.replicas import Replicas
from integrations.store.rollout_past import RolloutPast
from integrations.store.update_stories import UpdateStories
from integrations.store.work import WorkQueue
from runbooks import Catalog

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a process runs. `watches` tick per stack, `reconciler` over all tenants."""

    outbox: Outbox
    worker: OutboxWorker
    fold: AlarmFold
    reconciler: Reconciler
    anchors: AuditAnchors
    keycloak: Mapping[Realm, KeycloakWatch]
    calendars: CalendarWatch
    policy_changes: PolicyChanges
    watches: Mapping[Stack, RolloutWatch]
    queue: WorkQueue
    work: WorkLoop
    limit: RequestLimit
    webhook: ThingsBoardWebhook
    linking: LinkWays
    confirming: Confirming
    carrying: Carrying
    reboots: RebootRuns
    maker: ReleaseMaker
    homes: HomeWatch
    replicas: Replicas
    slack: AsyncApp


def wire(settings: Settings, adapters: Adapters, store: Store, clock: Clock, catalog: Catalog) -> Parts:
    """Asks no other system, so the bot starts, and takes alarms, whatever is away."""
    deciding = build_deciding(settings, adapters, store, clock)
    world, gate, audit = deciding.world, deciding.gate, deciding.audit
    outbox, leases, orders = deciding.outbox, deciding.leases, deciding.orders
    intake, incidents, stories = Intake(store), Incidents(store), UpdateStories(store)
    approvals = deciding.approvals
    approval_desk = ApprovalDesk(gate=gate, orders=orders, acts=deciding.acts, approvals=approvals)
    desk = IncidentDesk(
        world=world,
        gate=gate,
        acts=IncidentActs(world=world, incidents=incidents, intake=intake, audit=audit, clock=clock),
        incidents=incidents,
    )
    runs = Runs(world=world, gate=gate, catalog=catalog, leases=leases, audit=audit, outbox=outbox, clock=clock)
    linking = link_ways(
        settings,
        adapters,
        store,
        links=deciding.links,
        audit=audit,
        outbox=outbox,
        leases=leases,
        clock=clock,
    )
    views, queue = adapters.posts, WorkQueue(store, leases.holder)
    answers, keeper = Answers(outbox=outbox, views=views, clock=clock), Keeper(queue, clock)
    forms = FormDesk(
        offers=RunOffers(gate=gate, incidents=desk),
        runs=runs,
        catalog=catalog,
        views=views,
        answers=answers,
        clock=clock,
    )
    stuck = StuckDesk(gate=gate, world=world, orders=orders)
    why = WhyDesk(world=world, gate=gate, records=deciding.ledger.records, past=RolloutPast(store))
    releases = ReleaseForms(desk=deciding.releases, views=views, answers=answers, clock=clock)
    commands = Commands(
        gate=gate,
        world=world,
        orders=orders,
        stuck=stuck,
        incidents=desk,
        runs=runs,
        forms=forms,
        releases=releases,
        approvals=approval_desk,
        policies=PolicyDesk(gate=gate, orders=orders, sites=adapters.sites, clock=clock),
        why=why,
        catalog=catalog,
        linking=linking.door,
        linked=deciding.linked,
        audit=AuditDesk(gate=gate, audit=audit, links=deciding.links),
        links=settings.links,
    )
    lookers = Homes(store)
    homes = HomeDesk(
        gate=gate,
        incidents=desk,
        orders=orders,
        approvals=approvals,
        catalog=catalog,
        homes=lookers,
        answers=answers,
        clock=clock,
    )
    work = WorkLoop(
        queue=queue,
        desk=SlackDesk(
            gate=gate,
            commands=commands,
            clicks=Clicks(
                approvals=approval_desk,
                incidents=desk,
                runs=runs,
                forms=forms,
                stuck=stuck,
                why=why,
                linking=linking.device,
            ),
            forms=forms,
            approvals=approval_desk,
            releases=releases,
            homes=homes,
            answers=answers,
        ),
        answers=answers,
        clock=clock,
        max_age_s=settings.timing.work_max_age_s,
    )
    limit = RequestLimit(_per_person(settings), audit, clock)
    token = settings.slack.bot_token.read
    client = AsyncWebClient(base_url=settings.slack.api_url, retry_handlers=[])
    return Parts(
        outbox=outbox,
        worker=OutboxWorker(
            adapters.posts,
            store,
            clock,
            exits=Exits(Channel(settings.slack.fallback_channel), Channel(settings.slack.admin_channel)),
            budgets=_budgets(settings),
        ),
        fold=AlarmFold(
            world=world,
            intake=intake,
            incidents=incidents,
            outbox=outbox,
            leases=leases,
            clock=clock,
            links=settings.links,
            kinds=alarm_kinds(settings),
            stories=stories,
            updates=UpdateReader(
                world=world, incidents=incidents, stories=stories, records=deciding.ledger.records, clock=clock
            ),
        ),
        reconciler=Reconciler(
            world=world, store=store, intake=intake, incidents=incidents, outbox=outbox, leases=leases, clock=clock
        ),
        anchors=AuditAnchors(
            audit=audit,
            outbox=outbox,
            leases=leases,
            clock=clock,
            channel=Channel(settings.audit.anchor_channel or settings.slack.admin_channel),
        ),
        keycloak={
            realm: KeycloakWatch(
                keycloak=one.roles,
                realm=one.section.called,
                every_s=one.section.poll_s,
                store=store,
                outbox=outbox,
                leases=leases,
                clock=clock,
                channel=Channel(settings.slack.admin_channel),
                owns=_owned(settings, realm),
            )
            for realm, one in adapters.realms.items()
        },
        calendars=CalendarWatch(
            book=adapters.policies,
            sites=adapters.sites,
            outbox=outbox,
            clock=clock,
            channel=Channel(settings.slack.admin_channel),
        ),
        policy_changes=PolicyChanges(
            policies={name: site.policies for name, site in adapters.sites.items()},
            store=store,
            audit=audit,
            outbox=outbox,
            leases=leases,
            clock=clock,
            channel=Channel(settings.slack.admin_channel),
        ),
        watches={
            name: RolloutWatch(
                site,
                deciding.ledger,
                deciding.promoter,
                deciding.brakes,
                deciding.settler,
                deciding.works,
                partial(deciding.world.tenants_of, deciding.world.stacks[name]),
                looks_per_tick=settings.promotion.readings_per_tick,
                relay=_relay_budget(settings, name),
            )
            for name, site in adapters.sites.items()
        },
        queue=queue,
        work=work,
        limit=limit,
        webhook=ThingsBoardWebhook(intake, clock, WebhookSecrets(settings, clock)),
        linking=linking,
        confirming=Confirming(approvals.fresh, approvals),
        carrying=approvals.carrying,
        reboots=deciding.reboots,
        maker=deciding.maker,
        homes=HomeWatch(
            desk=homes, book=approvals.book, homes=lookers, leases=leases, buckets=Buckets(store), clock=clock
        ),
        replicas=Replicas(store, leases.holder),
        slack=build_slack(
            client=client,
            token=token,
            limit=limit,
            keeper=keeper,
            forms=FormDoor(views=views, keeper=keeper, catalog=catalog),
            reasons=ReasonDoor(views=views, keeper=keeper),
            releases=ReleaseDoor(keeper),
            homes=HomeDoor(keeper=keeper, answers=answers, clock=clock),
        ),
    )


def build_http(settings: Settings, parts: Parts, readiness: Readiness) -> FastAPI:
    """Health, linking and, in HTTP mode, Slack. The webhook stands in front of it (`in_front_of`)."""
    http = FastAPI(title="CDM ChatOps", docs_url=None, redoc_url=None, openapi_url=None)
    http.include_router(health_router(readiness))
    http.include_router(
        link_router(parts.linking.browser, public_url=settings.server.public_url, confirming=parts.confirming)
    )
    secret = settings.slack.signing_secret
    if settings.slack.mode == "http" and secret is not None:
        http.include_router(slack_router(parts.slack, secret.read))
    return http


class WebhookSecrets:
    """The secrets now valid, looked at again each second; the same mapping as long as nothing changed."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._clock = clock
        self._secrets: dict[tuple[Stack, Tenant], list[Secret]] = {
            (Stack(s.name), Tenant(t.id)): t.webhook_secrets for s in settings.stacks for t in s.tenants
        }
        self._missing: set[tuple[Stack, Tenant]] = set()
        self._known = self._read()
        self._again_at = clock.monotonic() + 1

    def __call__(self) -> Mapping[tuple[Stack, Tenant], tuple[str, ...]]:
        if self._clock.monotonic() >= self._again_at:
            self._again_at = self._clock.monotonic() + 1
            now = self._read()
            if now != self._known:
                self._known = now
        return self._known

    def _read(self) -> dict[tuple[Stack, Tenant], tuple[str, ...]]:
        """One that cannot be read opens nothing; the others go on working."""
        found: dict[tuple[Stack, Tenant], tuple[str, ...]] = {}
        for key, secrets in self._secrets.items():
            values = []
            for secret in secrets:
                try:
                    values.append(secret.read())
                except SecretMissing as error:
                    if key not in self._missing:
                        log.warning("webhook_secret_missing", tenant=key[1], error=str(error))
                    self._missing.add(key)
            if len(values) == len(secrets):
                self._missing.discard(key)
            found[key] = tuple(values)
        return found


def _relay_budget(settings: Settings, stack: Stack) -> RelayBudget:
    relay = next(section.relay for section in settings.stacks if section.name == stack)
    return RelayBudget(relay.looks_per_tick, relay.look_again_s) if relay is not None else NO_RELAY


def _owned(settings: Settings, realm: Realm) -> list[Tenant]:
    """The tenants of one realm among several."""
    if len(settings.realms()) == 1:
        return []
    owns = {Tenant(t.id) for section in settings.stacks for t in section.tenants if settings.realm_of(section) == realm}
    return sorted(owns)


def _per_person(settings: Settings) -> Budget:
    per_minute = settings.slack.requests_per_minute
    return Budget(per_minute / 60, per_minute / 2)


def _budgets(settings: Settings) -> Budgets:
    """Slack's limits as the settings give them; the sandbox and tests go faster."""
    usual, slack = Budgets(), settings.slack
    faster = max(slack.posts_per_second, slack.updates_per_minute / 50)
    if faster <= 1:
        return Budgets(
            channel_posts=Budget(slack.posts_per_second, usual.channel_posts.burst),
            posts=usual.posts,
            updates=Budget(slack.updates_per_minute / 72, usual.updates.burst, usual.updates.reserve),
            reads=usual.reads,
        )
    return Budgets(
        channel_posts=Budget(slack.posts_per_second, 2.0 * slack.posts_per_second),
        posts=Budget(3 * faster, 20 * faster, usual.posts.reserve),
        updates=Budget(slack.updates_per_minute / 60, slack.updates_per_minute / 6, usual.updates.reserve),
        reads=Budget(faster, 10 * faster),
    )
