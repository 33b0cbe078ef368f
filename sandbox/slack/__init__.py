"""A Slack workspace with one app installed, at the wire: Web API, Socket Mode, Request URLs, and the people in it."""

from sandbox.slack.app import SlackSandbox

__all__ = ["SlackSandbox"]
