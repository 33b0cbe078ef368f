"""The switches of relay and devices over HTTP, for when they run in another process than who flips them.

GET    /_sandbox/relay                  faults, switches set so far, commands run
GET    /_sandbox/relay/known_hosts      the known_hosts text for relay and devices
PUT    /_sandbox/relay/faults           {"down": true}: some of RelayFaults
POST   /_sandbox/relay/drop             cut every open connection
PUT    /_sandbox/relay/devices/NAME     {"command": "hang"}: some of Switches
DELETE /_sandbox/relay/devices/NAME     back to normal
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from sandbox.relay.devices import Switches
from sandbox.relay.jump import RelayFaults, RelaySandbox
from sandbox.wire import App, Receive, Scope, Send, answer, read_body

ROOT = "/_sandbox/relay"


def control_app(relay: RelaySandbox, names: Callable[[], Iterable[str]]) -> App:
    """The ASGI app. `names` lists the fleet's devices, for known_hosts."""
    devices = relay.devices

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        what = (scope["method"], scope["path"].removeprefix(ROOT).rstrip("/"))
        try:
            match what:
                case ("GET", ""):
                    await answer(send, 200, _state(relay, names()))
                case ("GET", "/known_hosts"):
                    text = relay.known_hosts() + devices.known_hosts(names())
                    await answer(send, 200, text, {"content-type": "text/plain"})
                case ("PUT", "/faults"):
                    await relay.misbehave(**_fields(RelayFaults, await read_body(receive)))
                    await answer(send, 204)
                case ("POST", "/drop"):
                    await relay.drop()
                    await answer(send, 204)
                case ("PUT", path) if path.startswith("/devices/"):
                    switches = devices.switches(path.removeprefix("/devices/"))
                    for field, value in _fields(Switches, await read_body(receive)).items():
                        setattr(switches, field, value)
                    await answer(send, 204)
                case ("DELETE", path) if path.startswith("/devices/"):
                    devices.reset(path.removeprefix("/devices/"))
                    await answer(send, 204)
                case _:
                    await answer(send, 404, {"error": "no such switch"})
        except (ValidationError, KeyError) as error:
            await answer(send, 400, {"error": str(error)})

    return app


def _state(relay: RelaySandbox, names: Iterable[str]) -> dict[str, object]:
    return {
        "faults": asdict(relay.faults),
        "devices": {name: asdict(relay.devices.switches(name)) for name in names},
        "ran": [asdict(ran) for ran in relay.devices.ran],
    }


def _fields(model: type, body: bytes) -> dict[str, Any]:
    """The given fields of a dataclass, each checked by its type. KeyError for an unknown one."""
    hints = get_type_hints(model)
    given = TypeAdapter(dict[str, Any]).validate_json(body)
    return {name: TypeAdapter(hints[name]).validate_python(value) for name, value in given.items()}
