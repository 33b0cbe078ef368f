"""Names as parts of a path, and values as parts of hawkBit's filter language."""

from __future__ import annotations

from urllib.parse import quote

from core.ids import DeviceName
from core.rollouts.facts import DistributionSet
from integrations.hawkbit import errors


def segment(device: DeviceName) -> str:
    """A device's name as one segment of a path."""
    if not device.strip("."):
        raise errors.Rejected(f"{device!r} cannot be the name of a device.")
    return quote(device, safe="")


def quoted(text: str) -> str:
    """A value in hawkBit's filter language."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def with_set(field: str, wanted: DistributionSet) -> str:
    """Those whose `field` (installedds, assignedds) is that set. hawkBit does not say which set a device has, only who
    passes the filter: so a name with `*` is refused. Versions repeat across products: both are pinned."""
    if "*" in wanted.name + wanted.version:
        raise errors.Rejected(f"The set {wanted} has a * in its name, which hawkBit takes for any text.")
    return f"{field}.name=={quoted(wanted.name)};{field}.version=={quoted(wanted.version)}"
