"""A stand-in for ThingsBoard CE 4.2.1 and 4.3.1.1, at the wire, no kinder than what was measured on the real ones."""

from sandbox.thingsboard.sandbox import SYSADMIN, ThingsboardSandbox

__all__ = ["SYSADMIN", "ThingsboardSandbox"]
