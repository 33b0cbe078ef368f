"""What can go wrong between the bot and a command on a device.

    RelayError
      BadKeyFile              the client key or known_hosts file cannot be used: a person must act
      AddressOutOfRange       the address lies outside the tenant's WireGuard range: nothing was connected
      RelayUnreachable        the relay cannot be reached, or was lost before the command was sent
      DeviceOffline           the relay is fine, the device does not answer
      HostKeyUnknown          no host key is known for the name
      HostKeyChanged          another key than the known one, perhaps another device's
      AuthRefused             relay or device does not take the bot's key
      ForwardingRefused       the relay does not forward to the device
      NoCommonAlgorithm       no host key type, key exchange or cipher in common
      CommandRefused          the device did not start the command
      CommandTimedOut         the command was started, and killed when its time was over
      ConnectionBroken        the command was started, and the connection ended before it did

The last two leave the outcome of a changing command unknown.
"""

from __future__ import annotations

from core.errors import NotAllowed, OutcomeUnknown, OutsideError, Refused, Unavailable
from core.runs import CommandOutput


class RelayError(OutsideError):
    reason = "relay_failed"


class BadKeyFile(RelayError, NotAllowed):
    reason = "bad_key_file"


class AddressOutOfRange(RelayError, Refused):
    reason = "address_out_of_range"


class RelayUnreachable(RelayError, Unavailable):
    reason = "relay_unreachable"
    retryable = True


class DeviceOffline(RelayError, Unavailable):
    reason = "device_offline"
    retryable = True


class HostKeyUnknown(RelayError, NotAllowed):
    reason = "host_key_unknown"


class HostKeyChanged(RelayError, NotAllowed):
    reason = "host_key_changed"


class AuthRefused(RelayError, NotAllowed):
    reason = "auth_refused"


class ForwardingRefused(RelayError, NotAllowed):
    reason = "forwarding_refused"


class NoCommonAlgorithm(RelayError, Refused):
    reason = "no_common_algorithm"


class CommandRefused(RelayError, Refused):
    reason = "command_refused"


class CommandTimedOut(RelayError, OutcomeUnknown):
    """`output` holds what came before the end."""

    reason = "command_timed_out"
    unknown_outcome = True
    output: CommandOutput | None = None


class ConnectionBroken(RelayError, OutcomeUnknown):
    """`output` holds what came before the end."""

    reason = "connection_broken"
    unknown_outcome = True
    output: CommandOutput | None = None
