"""The relay host and the devices behind it, as real SSH servers on 127.0.0.1."""

from sandbox.relay.control import control_app
from sandbox.relay.devices import DeviceHost, Ran, Switches
from sandbox.relay.jump import RelayFaults, RelaySandbox
from sandbox.relay.keys import derived_key
from sandbox.relay.view import DeviceView, JournalLine, Lookup

__all__ = [
    "DeviceHost",
    "DeviceView",
    "JournalLine",
    "Lookup",
    "Ran",
    "RelayFaults",
    "RelaySandbox",
    "Switches",
    "control_app",
    "derived_key",
]
