"""Makes tenants, customers, users, profiles and devices: behind the REST endpoints and the Python helpers alike."""

from __future__ import annotations

from sandbox.thingsboard import chains
from sandbox.thingsboard.api import Server
from sandbox.thingsboard.chains import Chain
from sandbox.thingsboard.entities import NO_CUSTOMER, Authority, Customer, Device, Json, Profile, Tenant, User
from sandbox.thingsboard.messages import Message, user_metadata
from sandbox.thingsboard.rules import profile_rules

DEFAULT_PROFILE: Json = {
    "name": "default",
    "description": "Default device profile",
    "image": None,
    "type": "DEFAULT",
    "transportType": "DEFAULT",
    "provisionType": "DISABLED",
    "defaultRuleChainId": None,
    "defaultDashboardId": None,
    "defaultQueueName": None,
    "profileData": {
        "configuration": {"type": "DEFAULT"},
        "transportConfiguration": {"type": "DEFAULT"},
        "provisionConfiguration": {"type": "DISABLED", "provisionDeviceSecret": None},
        "alarms": None,
    },
    "provisionDeviceKey": None,
    "default": False,
    "version": 1,
}


class Seed:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.world = server.world

    def tenant(self, title: str) -> Tenant:
        """A tenant with its default device profile and root rule chain, which raises no alarm as it is."""
        tenant = Tenant(self.world.new_id(), title, self.world.now())
        self.world.tenants[tenant.id] = tenant
        self.profile(tenant.id, {"name": "default"})
        root = self.chain(tenant.id, "Root Rule Chain")
        root.load(chains.default_metadata(with_profile_node=not self.world.is_43), self.world)
        tenant.root_chain = root.id
        return tenant

    def chain(self, tenant: str, name: str) -> Chain:
        chain = Chain(self.world.new_id(), tenant, name, self.world.now())
        self.server.engine.chains[chain.id] = chain
        return chain

    def customer(self, tenant: str, title: str) -> Customer:
        customer = Customer(self.world.new_id(), tenant, title, self.world.now())
        self.world.customers[customer.id] = customer
        return customer

    def user(
        self,
        tenant: str,
        email: str,
        *,
        password: str | None,
        authority: Authority = "TENANT_ADMIN",
        customer: str = NO_CUSTOMER,
        first: str = "",
        last: str = "",
    ) -> User:
        made = User(self.world.new_id(), tenant, customer, email.lower(), authority, self.world.now(), first, last)
        made.password = password
        self.world.users[made.id] = made
        return made

    def profile(self, tenant: str, body: Json) -> Profile:
        """Checks the alarm rules it may hold. Unknown fields are ignored in silence, `alarmRules` too (measured)."""
        known = {k: v for k, v in body.items() if k in DEFAULT_PROFILE}
        merged = DEFAULT_PROFILE | known | {"default": body["name"] == "default"}
        merged["profileData"] = dict(DEFAULT_PROFILE["profileData"]) | {
            k: v for k, v in (body.get("profileData") or {}).items() if k in DEFAULT_PROFILE["profileData"]
        }
        profile_rules(merged)
        profile = Profile(self.world.new_id(), tenant, self.world.now(), merged)
        self.world.profiles[profile.id] = profile
        return profile

    def device(
        self,
        tenant: str,
        name: str,
        profile: Profile,
        *,
        label: str | None = None,
        customer: str = NO_CUSTOMER,
        token: str | None = None,
        by: User | None = None,
    ) -> Device:
        now = self.world.now()
        token = token or self.world.new_token()
        device = Device(self.world.new_id(), tenant, customer, name, label, profile.id, token, now)
        device.attributes["SERVER_SCOPE"] |= {"active": (now, False), "lastActivityTime": (now, 0)}
        self.world.devices[device.id] = device
        self.world.by_token[token] = device
        if by is not None:
            metadata = user_metadata(by, name, "DEVICE", customer)
            shown = self.world.device_json(device)
            self.server.engine.send(Message("ENTITY_CREATED", tenant, ("DEVICE", device.id), metadata, shown))
        return device
