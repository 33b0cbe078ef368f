"""Slack: the workspace, the scopes, the channels, and the app token of Socket Mode."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.probe.finding import Finding, fail, ok, warn
from bot.settings import Settings
from bot.settings import Slack as SlackSection
from bot.slack_scopes import APP_SCOPE, EVENTS, SCOPES
from integrations.slack.client import Identity, SlackPosts

SYSTEM = "Slack"
MOST_CHANNELS = 40
"""Slack answers some 50 such questions a minute."""
_NO_ANSWER = (aiohttp.ClientError, TimeoutError)


async def look(settings: Settings) -> AsyncIterator[Finding]:
    slack = settings.slack
    posts = SlackPosts(slack.bot_token.read, base_url=slack.api_url)
    try:
        me = await posts.auth_test()
    finally:
        await posts.aclose()
    yield _team(slack, me)
    for finding in _scopes(me):
        yield finding
    for finding in await _channels(settings):
        yield finding
    if slack.mode == "socket":
        yield await _socket_mode(slack)
    else:
        yield ok(
            SYSTEM,
            "Mode http: whether Slack reaches the bot and the signing secret is right shows at the first click only. "
            "The app's request URLs (command, interactivity, events) must be "
            f"{settings.server.public_url.rstrip('/')}/slack/events.",
        )
    yield _home()


def _home() -> Finding:
    """A bot token can ask neither for the app's features nor for its events."""
    lost = "; ".join(f"without the event {event.name} {event.without}" for event in EVENTS)
    return ok(
        SYSTEM,
        "Forms and the Home tab need no scope. Slack does not tell a bot whether its Home tab and its events are on: "
        f"`cdm slack manifest` has both, and {lost}.",
    )


def _team(slack: SlackSection, me: Identity) -> Finding:
    if me.team == slack.team:
        return ok(SYSTEM, f"The bot token is good for workspace {me.team}, as {me.user}.")
    return fail(
        SYSTEM,
        f"The bot token belongs to workspace {me.team}, but slack.team is {slack.team}: the bot would know nobody.",
        f"Set slack.team to {me.team}, or put the token of workspace {slack.team} where slack.bot_token is read.",
    )


def _scopes(me: Identity) -> Iterable[Finding]:
    if not me.scopes:
        yield warn(
            SYSTEM,
            "Slack did not say which scopes the token has, so they were not checked.",
            "Compare the app's scopes with `cdm slack manifest`. A proxy may have removed the header x-oauth-scopes.",
        )
        return
    missing = [scope for scope in SCOPES if scope.name not in me.scopes]
    for scope in missing:
        kind = fail if scope.vital else warn
        yield kind(
            SYSTEM,
            f"The token lacks the scope {scope.name} ({scope.why}): {scope.without}.",
            "Put the output of `cdm slack manifest` into the app's manifest, install the app again, and give the bot "
            "the new token.",
        )
    if not missing:
        yield ok(SYSTEM, f"The token has all {len(SCOPES)} scopes the bot uses.")


async def _channels(settings: Settings) -> list[Finding]:
    uses = _uses(settings)
    asked = list(uses)[:MOST_CHANNELS]
    client = _client(settings.slack, settings.slack.bot_token.read())
    found = await asyncio.gather(*(_channel(client, channel, ", ".join(uses[channel])) for channel in asked))
    problems = [finding for finding in found if finding is not None]
    if len(uses) > MOST_CHANNELS:
        problems.append(
            warn(
                SYSTEM,
                f"Only {MOST_CHANNELS} of {len(uses)} channels were asked for: Slack limits such questions.",
                "Look at the others in Slack: the bot must be a member of each.",
            )
        )
    return problems or [ok(SYSTEM, f"The bot is a member of all {len(uses)} channels of cdm.yaml.")]


async def look_at_channel(settings: Settings, channel: str, use: str) -> AsyncIterator[Finding]:
    """Whether the bot can post to one channel."""
    trouble = await _channel(_client(settings.slack, settings.slack.bot_token.read()), channel, use)
    yield trouble or ok(SYSTEM, f"The bot is a member of the channel {channel} ({use}).")


def _uses(settings: Settings) -> dict[str, list[str]]:
    """Which settings name each channel."""
    named = [("slack.fallback_channel", settings.slack.fallback_channel)]
    named.append(("slack.admin_channel", settings.slack.admin_channel))
    for section in settings.stacks:
        named.append((f"rollouts of {section.name}", section.rollout_channel))
        named += [(f"alarms of {tenant.id}", tenant.channel) for tenant in section.tenants]
    uses: dict[str, list[str]] = {}
    for use, channel in named:
        uses.setdefault(channel, []).append(use)
    return uses


async def _channel(client: AsyncWebClient, channel: str, use: str) -> Finding | None:
    """None where the bot can post to it."""
    try:
        answer = await client.conversations_info(channel=channel)
    except SlackApiError as error:
        return _channel_refused(channel, use, str(error.response.get("error", "")))
    except _NO_ANSWER as error:
        return _unreachable(f"the channel {channel} ({use}) was not checked", error)
    shown = answer["channel"]
    if shown.get("is_archived"):
        return fail(
            SYSTEM,
            f"The channel {channel} ({use}) is archived, so nothing can be posted there.",
            "Unarchive it, or name another channel in cdm.yaml.",
        )
    if not shown.get("is_member"):
        return fail(
            SYSTEM,
            f"The bot is not a member of the channel {channel} ({use}), so it cannot post there.",
            "Open the channel in Slack and type: /invite @ and the bot's name.",
        )
    return None


def _channel_refused(channel: str, use: str, code: str) -> Finding:
    if code == "channel_not_found":
        return fail(
            SYSTEM,
            f"Slack shows the bot no channel {channel} ({use}): it does not exist, or is private and the bot is not in "
            "it.",
            "Invite the bot to the channel, or correct the id in cdm.yaml (channel details, at the bottom).",
        )
    if code == "missing_scope":
        return warn(
            SYSTEM,
            f"Whether the bot is in the channel {channel} ({use}) could not be asked: the token lacks the scope.",
            "Add channels:read and groups:read, see above, or look in Slack whether the bot is a member.",
        )
    return warn(
        SYSTEM,
        f"Whether the bot is in the channel {channel} ({use}) could not be asked: Slack says {code}.",
        "Probe again in a minute.",
    )


async def _socket_mode(slack: SlackSection) -> Finding:
    """Asks for a connection's address and leaves it unused: it opens none."""
    assert slack.app_token is not None
    token = slack.app_token.read()
    try:
        await _client(slack, token).apps_connections_open(app_token=token)
    except SlackApiError as error:
        code = str(error.response.get("error", ""))
        return fail(
            SYSTEM,
            f"Slack refuses the app token ({code}), so no click and no command would reach the bot.",
            f"Make an app-level token with the scope {APP_SCOPE} (Basic Information of the app), see that Socket Mode "
            "is on, and put it where slack.app_token is read.",
        )
    except _NO_ANSWER as error:
        return _unreachable("the app token was not checked", error)
    return ok(SYSTEM, "Socket Mode can be opened with the app token.")


def _unreachable(what: str, error: Exception) -> Finding:
    return fail(
        SYSTEM,
        f"Slack did not answer ({type(error).__name__}): {what}.",
        "Check slack.api_url and the network between, then probe again.",
    )


def _client(slack: SlackSection, token: str) -> AsyncWebClient:
    client = AsyncWebClient(token=token, base_url=slack.api_url, timeout=10, retry_handlers=[])
    client.proxy = None  # as the bot's own client: not from the environment
    return client
