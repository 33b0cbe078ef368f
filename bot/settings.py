"""The one typed tree of settings: `cdm.yaml`, overridden by environment variables `CDM_<SECTION>__<KEY>`."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bot.policy_settings import PolicySection, Promotion, WindowsSection
from bot.realm_checks import check_hawkbits, check_realms, check_tenants
from bot.secrets import Secret
from bot.settings_base import Name, Seconds, Section, apart
from core.access import APPROVABLE
from core.ids import DEFAULT_REALM, Realm

ChannelId = Annotated[str, StringConstraints(pattern=r"^[CG][A-Z0-9]{2,20}$")]
GroupPath = Annotated[str, StringConstraints(pattern=r"^/[^/]+$")]


class Server(Section):
    """Where the bot listens. `public_url` is how browsers (linking) and ThingsBoard reach it."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=1, le=65535)
    public_url: str = "http://127.0.0.1:8080"


class Slack(Section):
    mode: Literal["socket", "http"] = "socket"
    api_url: str = "https://slack.com/api/"
    team: str = Field(description="The workspace's id, T…")
    bot_token: Secret
    app_token: Secret | None = None
    signing_secret: Secret | None = None
    fallback_channel: ChannelId = Field(description="Where messages go whose channel is archived or closed to the bot")
    admin_channel: ChannelId
    second_way_url: str | None = Field(
        None, description="Gets a JSON {text} by POST when Slack refuses the bot: the way out that is not Slack"
    )
    updates_per_minute: int = Field(50, ge=1, le=100_000)
    posts_per_second: float = Field(1.0, gt=0, le=1000, description="In one channel")
    requests_per_minute: int = Field(
        60, ge=10, le=100_000, description="Taken from one person, by each process; half of them at once"
    )

    @model_validator(mode="after")
    def _mode_has_its_secret(self) -> Slack:
        if self.mode == "socket" and self.app_token is None:
            raise ValueError("mode socket needs app_token (xapp-…, scope connections:write)")
        if self.mode == "http" and self.signing_secret is None:
            raise ValueError("mode http needs signing_secret")
        return self

    @field_validator("api_url")
    @classmethod
    def _slash(cls, url: str) -> str:
        return url if url.endswith("/") else url + "/"


class StoreSection(Section):
    """Without `url` the bot brings its own Valkey and keeps it under data_dir."""

    url: str | None = None
    password: Secret | None = None
    appendfsync: Literal["always", "everysec"] = "always"
    trust_persistence: bool = Field(False, description="The server hides its settings; you have checked them yourself")


class AuditSection(Section):
    """Without a key whoever owns the store can write the whole audit log anew, and no check tells."""

    key: Secret | None = Field(None, description="Seals each entry; at least 32 characters, kept out of the store")
    old_keys: list[Secret] = Field(default_factory=list, max_length=50, description="Those before it, to verify with")
    keyed_from: int = Field(1, ge=1, description="The first entry that must bear a key, if the log began without")
    anchor_channel: ChannelId | None = Field(
        None, description="Gets number and hash of the newest entry once a day; without it the admin channel does"
    )
    keep_days: int | None = Field(None, ge=30, description="What cdm audit trim leaves where it is not told otherwise")


class Keycloak(Section):
    url: str
    realm: str
    name: str = Field("", description="What people call it, as in `/cdm link <name>`; else the realm's own name")
    client_id: str = "cdm-bot"
    client_secret: Secret
    timeout_s: Seconds = 2.0
    poll_s: Seconds = Field(10.0, description="How often it is asked whether it answers; after two times it is told")
    step_up_acr: str = Field(
        "", description="The level (acr) that the realm's step-up flow gives, where it has one: asked for and checked"
    )
    link_by: Literal["browser", "device"] = Field(
        "browser", description="device: where browsers do not reach server.public_url, by Keycloak's device grant"
    )

    @property
    def called(self) -> str:
        return self.name or self.realm

    @property
    def place(self) -> tuple[str, str]:
        """Equal where it is the same realm of the same server."""
        return self.url.rstrip("/"), self.realm


class ApprovalSection(Section):
    """What one action needs beyond the table of who may do what. Times in seconds."""

    quorum: int = Field(1, ge=1, le=5, description="So many others must agree")
    least: Literal["admin", "platform_admin"] = Field("admin", description="Who counts as one of them")
    always: bool = Field(False, description="A second person also where an admin may act alone")
    fresh_login: bool = Field(False, description="Who agrees, or acts alone, logs in anew first")
    break_glass: bool = Field(False, description="An admin may act alone with a reason; another signs afterwards")
    lasts_s: Seconds = 4 * 3600.0
    remind_s: Seconds = 1800.0


class Access(Section):
    """Names of roles, and how a role counts in a tenant."""

    role_scope: Literal["realm x group", "subgroup"] = "realm x group"
    viewer: str = "cdm-viewer"
    operator: str = "cdm-operator"
    admin: str = "cdm-admin"
    platform_operator: str = "platform-operator"
    platform_admin: str = "platform-admin"


class ServiceAccount(Section):
    """A client of the realm of its own, with a service account that has roles and groups as a person has."""

    client_id: str = Field(min_length=1)
    client_secret: Secret


class CliSection(Section):
    """Who may change something by `cdm` without a person logging in: asked for with --service-account."""

    service_account: ServiceAccount | None = None


class Hawkbit(Section):
    url: str
    username: str
    password: Secret
    brake_username: str | None = Field(
        None, description="The account with UPDATE_ROLLOUT and UPDATE_TARGET: stop, assign, cancel, force"
    )
    brake_password: Secret | None = None
    release_username: str | None = Field(
        None, description="The account that makes modules and sets, uploads, locks and invalidates"
    )
    release_password: Secret | None = None
    tick_s: float = Field(2.0, gt=0, description="hawkbit.rollout.scheduler.fixedDelay")
    generation: Literal[0, 1] = Field(
        1, description="0: hawkBit 0.x, whose groups cannot pause; needs the brake account, and is weaker"
    )
    cache_age_s: float = Field(0.0, ge=0, description="hawkbit.cache.ttl where hawkBit runs as split services")
    poll_s: Seconds = 5.0
    timeout_s: Seconds = 10.0
    upload_timeout_s: Seconds = Field(3600.0, description="One bundle, as a whole")


class RelaySection(Section):
    host: str
    port: int = Field(22, ge=1, le=65535)
    username: str = "cdm-bot"
    key_file: Path
    known_hosts: Path = Field(description="Host keys of relay and devices, by name; @cert-authority lines work")
    relay_name: str = Field(description="The relay's name in known_hosts")
    device_user: str = "cdm"
    device_port: int = Field(22, ge=1, le=65535)
    concurrency: int = Field(16, ge=1, le=200)
    connect_timeout_s: Seconds = 10.0
    looks_per_tick: int = Field(
        8, ge=1, le=200, description="Devices asked for their RAUC slots each hawkbit.poll_s, where a policy wants it"
    )
    look_timeout_s: Seconds = Field(5.0, description="For one such look")
    look_again_s: Seconds = Field(30.0, description="So long a device is not asked again")


class Thingsboard(Section):
    """One tenant's way into ThingsBoard: a user with password, or (4.3) an API key."""

    username: str | None = None
    password: Secret | None = None
    api_key: Secret | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Thingsboard:
        if (self.api_key is None) == (self.username is None or self.password is None):
            raise ValueError("give username and password, or api_key")
        return self


class TenantSection(Section):
    id: Name
    keycloak_group: GroupPath
    thingsboard: Thingsboard
    webhook_secrets: list[Secret] = Field(min_length=1, max_length=2, description="Two are valid during a rotation")
    wireguard_range: IPv4Network | IPv6Network
    channel: ChannelId
    production: WindowsSection = Field(
        WindowsSection(), description="Its plants produce: the scheduler starts no group with devices of it"
    )
    reboot_windows: WindowsSection = Field(
        WindowsSection(), description="When its devices may be told to reboot; none: at any time"
    )
    target_filter: str = Field(
        "", max_length=900, description="Which devices of hawkBit are its own, in hawkBit's filter language"
    )


class StackSection(Section):
    name: Name
    thingsboard_url: str
    thingsboard_timeout_s: Seconds = 5.0
    address_attribute: str = Field("wireguard_ip", description="SERVER_SCOPE attribute with the device's VPN address")
    hawkbit: Hawkbit
    relay: RelaySection | None = None
    keycloak: Keycloak | None = Field(None, description="The realm that owns this stack's tenants, if one of its own")
    rollout_channel: ChannelId
    tenants: list[TenantSection] = Field(min_length=1)

    @field_validator("tenants")
    @classmethod
    def _tenantsapart(cls, tenants: list[TenantSection]) -> list[TenantSection]:
        apart([t.id for t in tenants], "tenant id")
        for i, one in enumerate(tenants):
            for other in tenants[:i]:
                if one.wireguard_range.version == other.wireguard_range.version and one.wireguard_range.overlaps(
                    other.wireguard_range
                ):
                    raise ValueError(
                        f"the WireGuard ranges of {other.id} and {one.id} overlap; an address must say its tenant"
                    )
        return tenants


class AlarmsSection(Section):
    """What ThingsBoard's rules call the alarm of a failed update."""

    ota_failure: str = Field("OTA Failure", min_length=1, description="As cdm thingsboard wiring makes it")


class Timing(Section):
    reconcile_s: Seconds = 60.0
    work_max_age_s: Seconds = Field(300.0, description="A click or command older than this is refused, not carried out")
    shutdown_s: Seconds = 10.0
    lease_s: Seconds = 10.0


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="CDM_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    data_dir: Path = Path("var")
    server: Server = Server()
    slack: Slack
    store: StoreSection = StoreSection()
    audit: AuditSection = AuditSection()
    keycloak: Keycloak
    access: Access = Access()
    cli: CliSection = CliSection()
    stacks: list[StackSection] = Field(min_length=1)
    promotion: Promotion = Promotion()
    policies: list[PolicySection] = Field(default_factory=list, max_length=100)
    approvals: dict[str, ApprovalSection] = Field(
        default_factory=dict, description="By action (stop, continue_failed, …): what it needs beyond the table"
    )
    alarms: AlarmsSection = AlarmsSection()
    timing: Timing = Timing()
    runbooks_dir: Path | None = None
    links: dict[str, str] = Field(
        default_factory=dict, description="Label -> URL with {device} {tenant} {stack} {alarm} {originator}"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        apart([s.name for s in self.stacks], "stack name")
        account = self.cli.service_account
        if account is not None and account.client_id.lower() == self.keycloak.client_id.lower():
            raise ValueError(
                "cli.service_account is the bot's own client, which acts for everybody; make a client of its own for it"
            )
        check_realms(self)
        check_tenants(self)
        check_hawkbits(self)
        apart([policy.name for policy in self.policies], "policy name")
        for policy in self.policies:
            for unknown in set(policy.stacks) - {stack.name for stack in self.stacks}:
                raise ValueError(f"policies: {policy.name} is for the stack {unknown!r}, which there is not")
        for stack in self.stacks:
            together = self.promotion.request_timeout_s + self.promotion.max_read_age_s
            if self.promotion.enabled and together >= stack.hawkbit.tick_s:
                raise ValueError(
                    f"promotion.request_timeout_s + max_read_age_s ({together:g}) must be below the hawkBit tick of "
                    f"stack {stack.name} ({stack.hawkbit.tick_s:g} s), or a late resume could start a group of its own"
                )
            if self.promotion.enabled and self.promotion.agree_s <= stack.hawkbit.cache_age_s:
                raise ValueError(
                    f"promotion.agree_s ({self.promotion.agree_s}) must exceed hawkbit.cache_age_s of stack "
                    f"{stack.name}, or two agreeing reads may be one cached one"
                )
        for action in self.approvals:
            if action not in APPROVABLE:
                raise ValueError(
                    f"approvals.{action}: there is nothing to approve; choose from {', '.join(APPROVABLE)}"
                )
        if self.promotion.enabled and not self.promotion.owners:
            raise ValueError(
                "promotion.enabled needs promotion.owners: the hawkBit users whose rollouts the bot promotes"
            )
        return self

    def realms(self) -> dict[Realm, Keycloak]:
        """Every realm once, the default one first."""
        own = {self.realm_of(stack): stack.keycloak for stack in self.stacks if stack.keycloak is not None}
        return {DEFAULT_REALM: self.keycloak, **{realm: section for realm, section in own.items() if realm}}

    def realm_of(self, stack: StackSection) -> Realm:
        """The realm that owns the stack's tenants."""
        if stack.keycloak is None or stack.keycloak.place == self.keycloak.place:
            return DEFAULT_REALM
        return Realm(stack.keycloak.called)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file."""
        return env_settings, init_settings

    def secrets(self) -> dict[str, Secret]:
        """Every secret of the tree by its path, for checks."""
        found: dict[str, Secret] = {}
        _collect(self, "", found)
        return found


def _collect(node: Any, path: str, found: dict[str, Secret]) -> None:
    if isinstance(node, Secret):
        found[path] = node
    elif isinstance(node, BaseModel):
        for name in type(node).model_fields:
            _collect(getattr(node, name), f"{path}.{name}" if path else name, found)
    elif isinstance(node, list):
        for index, item in enumerate(node):
            _collect(item, f"{path}[{index}]", found)
