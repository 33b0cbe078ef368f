"""Break and mend the sandbox, by words that console, panel and scenarios share."""

from sandbox.controls.orders import HELP, Controls, Misunderstood

__all__ = ["HELP", "Controls", "Misunderstood"]
