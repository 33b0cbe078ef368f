"""Commands on devices, over SSH through one relay host per stack."""

from integrations.relay.ssh import RelaySettings, SshRelay

__all__ = ["RelaySettings", "SshRelay"]
