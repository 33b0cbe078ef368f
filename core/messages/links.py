"""Private answers about links: who is linked with whom, and what ending a link took away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.access import Link
from core.access_path import PROOFS
from core.ids import SlackUser
from core.messages.blocks import Button, Message, actions, compose, context, section
from core.messages.text import at, count, literal, mono
from core.messages.text import link as live_link

LINK_CONFIRM, LINK_DECLINE = "link_confirm", "link_decline"
SHOWN_LINKS = 40
PER_SECTION = 10


@dataclass(frozen=True, slots=True)
class LinkLine:
    """A Slack person and their link. `standing` says what Keycloak says now, where that is not "enabled"."""

    user: SlackUser
    link: Link
    standing: str = ""


def links_message(lines: Sequence[LinkLine], unread: int) -> Message:
    """`lines`, newest link first; `unread` links more were not looked at."""
    head = f"*{count(len(lines), 'link')}* of Slack users with Keycloak accounts"
    shown = [_line(line) for line in lines[:SHOWN_LINKS]]
    blocks = [section("\n".join(shown[at : at + PER_SECTION])) for at in range(0, len(shown), PER_SECTION)]
    notes = ["`/cdm links revoke <person>` takes a Slack user id or a Keycloak user name."]
    if hidden := len(lines) - len(shown):
        notes.append(f"{hidden} older ones are not shown.")
    if unread:
        notes.append(f"{unread} links were not looked at: each is one reading of Keycloak.")
    return compose(head, section(head), *blocks, context(*(note.replace("<", "&lt;") for note in notes)))


def link_offer(url: str, known: Link | None) -> Message:
    """To whoever typed `/cdm link`: where to log in. `known` is the link there is."""
    told = f"{_before(known)}{live_link(url, 'Log in to Keycloak')} to link this Slack user with your account."
    only = "The link is for you alone, works once, and for ten minutes. Do not pass it on."
    return compose(told, section(told), context(only))


@dataclass(frozen=True, slots=True)
class RealmLine:
    """A realm by its name, and the person's link there."""

    name: str
    link: Link | None


def realms_message(lines: Sequence[RealmLine]) -> Message:
    """To whoever typed `/cdm link` where several realms own the tenants."""
    head = "Each of these Keycloak realms owns tenants of its own. Type the line of the one to link with:"
    shown = [
        f"• `/cdm link {line.name}`" + (f": linked with {mono(line.link.username, 100)}" if line.link else "")
        for line in lines
    ]
    return compose(head, section("\n".join([head, *shown])))


def device_offer(url: str, user_code: str, minutes: int, known: Link | None) -> Message:
    """To whoever typed `/cdm link` where Keycloak itself shows the pages."""
    told = (
        f"{_before(known)}{live_link(url, 'Log in to Keycloak')} and grant access to link this Slack user with your "
        f"account. Keycloak shows the code {mono(user_code, 40)}."
    )
    only = (
        f"For you alone, and for {minutes} minutes: whoever logs in there is asked about here. Do not pass it on. "
        "Afterwards you are asked here, privately, whether the account is yours."
    )
    return compose(told, section(told), context(only))


def link_question(state: str, user: SlackUser, slack_email: str, username: str, email: str) -> Message:
    """To whoever began: both accounts, and the two buttons that answer."""
    told = (
        f"*Link these two accounts?*\nSlack user: {mono(user.user, 40)} ({literal(slack_email, 200)})\n"
        f"Keycloak account: {mono(username, 100)} ({literal(email, 200)})\n"
        "Whoever uses this Slack user will act with the rights of this account."
    )
    buttons = actions(
        Button(LINK_CONFIRM, f"Link with {username}", state, "primary"), Button(LINK_DECLINE, "Not me", state)
    )
    return compose(told, section(told), buttons)


def declined_message(username: str) -> Message:
    text = (
        f"Nothing was linked. Somebody logged in as {mono(username, 100)} at the page that was given to you: if it "
        "was not you, tell an administrator."
    )
    return compose(text, section(text))


def linked_message(link: Link) -> Message:
    """To the person who typed the code."""
    text = (
        f"Your Slack user is now linked with the Keycloak account {mono(link.username, 100)} "
        f"({literal(link.email, 200)}). If that is not your account, type `/cdm unlink` and tell an administrator."
    )
    return compose(text, section(text))


def unlinked_message(links: Sequence[Link]) -> Message:
    """To the person whose own links are gone."""
    text = (
        f"Your Slack user is not linked with the Keycloak account {_accounts(links)} any more ({_since(links)}). "
        "Whatever you could do here with that account's rights is closed to this Slack user: alarms, devices, "
        "rollouts, runbooks. `/cdm link` links again."
    )
    return compose(text, section(text))


def revoked_message(user: SlackUser, ended: Sequence[Link], left: Sequence[Link]) -> Message:
    """To the admin who ended them; the person still has those `left`."""
    means = "From now on the bot refuses this Slack user everything."
    if left:
        means = f"Still linked: {_accounts(left)}, which other admins may end."
    text = (
        f"The Slack user {mono(user.user, 40)} is not linked with the Keycloak account {_accounts(ended)} any "
        f"more ({_since(ended)}). {means} A new "
        "login can link it again; to shut the account itself, disable it in Keycloak."
    )
    return compose(text, section(text))


def _accounts(links: Sequence[Link]) -> str:
    return " and ".join(f"{mono(link.username, 100)}{_in(link)}" for link in links)


def _since(links: Sequence[Link]) -> str:
    return f"it was since {at(min(link.linked_at for link in links))}"


def _in(link: Link) -> str:
    return f" in realm {mono(link.realm, 70)}" if link.realm else ""


def _before(known: Link | None) -> str:
    if known is None:
        return ""
    return (
        f"This Slack user is linked with the Keycloak account {mono(known.username, 100)}; for another one, "
        "`/cdm unlink` comes first. "
    )


def _line(line: LinkLine) -> str:
    who = f"*{literal(line.link.username, 80)}* ({literal(line.link.email, 120)}){_in(line.link)}"
    standing = f" · {line.standing}" if line.standing else ""
    proven = f"linked {at(line.link.linked_at)} by {PROOFS[line.link.proof]}"
    return f"• {mono(line.user.user, 40)} is {who}, {proven}{standing}"
