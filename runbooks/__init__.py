"""Runbooks: a catalog of commands with typed parameters, and what their output means to a person."""

from runbooks.engine import BadParameter, Plan, Runbook, Step
from runbooks.library import Catalog
from runbooks.redact import Redactor
from runbooks.render import Rendering
from runbooks.schema import CatalogError

__all__ = ["BadParameter", "Catalog", "CatalogError", "Plan", "Redactor", "Rendering", "Runbook", "Step"]
