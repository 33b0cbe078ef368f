"""The commands beside `serve` and `run`, one module each. A module's `app` is mounted under the module's name."""
