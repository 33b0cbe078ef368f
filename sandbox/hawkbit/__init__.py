"""A stand-in for Eclipse hawkBit 1.1.0 at the wire: Management API, device API (DDI) and scheduler.

It behaves as the real server was measured to behave, also where that is inconvenient: see the contract suite.
"""

from sandbox.hawkbit.accounts import Account
from sandbox.hawkbit.server import HawkbitSandbox

__all__ = ["Account", "HawkbitSandbox"]
