"""What a browser is shown while linking. No script, nothing from outside, every value escaped."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from fastapi.responses import HTMLResponse, RedirectResponse

from core.access import Link, Proof
from flows.linking.browser import Proposal, Waiting
from flows.linking.refusals import AGAIN
from flows.trips import Leaving

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem;color:#1d1c1d}"
    "dt{font-weight:600;margin-top:1rem}dd{margin:0;overflow-wrap:anywhere}"
    "button{font:inherit;padding:.6rem 1.2rem;margin-top:1.5rem}"
    "code{font-size:1.4rem;font-weight:600}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def _page(title: str, body: str, status: int) -> HTMLResponse:
    return HTMLResponse(
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>",
        status_code=status,
        headers=HEADERS,
    )


def off_to_keycloak(leaving: Leaving, *, secure: bool, life_s: int) -> RedirectResponse:
    """The browser is marked, and sent to log in."""
    answer = RedirectResponse(leaving.url, status_code=303, headers=HEADERS)
    answer.set_cookie(
        leaving.cookie,
        leaving.value,
        max_age=2 * life_s,
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )
    return answer


def confirm_page(proposal: Proposal, action: str) -> HTMLResponse:
    """Names both accounts; only the button goes on."""
    by_code = proposal.proof is Proof.CODE
    more = (
        "<p>The two e-mail addresses are not the same, so the next page shows a code that this Slack user has to type "
        "in Slack.</p>"
    )
    return _page(
        "Link these two accounts?",
        f"{_both(proposal)}<p>Whoever uses this Slack user will act with the rights of this account. If you did not "
        f"type /cdm link in Slack yourself, close this page.</p>{more if by_code else ''}"
        f'<form method="post" action="{escape(action)}">'
        f'<input type="hidden" name="token" value="{escape(proposal.token)}">'
        f'<button type="submit">{"Show me the code" if by_code else "Link them"}</button></form>',
        200,
    )


def code_page(waiting: Waiting) -> HTMLResponse:
    """The only place where the code is shown."""
    return _page(
        "Not linked yet: one step is left",
        f"{_both(waiting)}<p>Type this in Slack, as this Slack user, within ten minutes:</p>"
        f"<p><code>/cdm link {escape(waiting.code)}</code></p>"
        "<p><strong>Type it only if you yourself typed /cdm link in Slack. Tell it to nobody: whoever asks you for it "
        "is attacking you.</strong> Then close this page, and tell an administrator.</p>",
        200,
    )


def _both(accounts: Proposal | Waiting) -> str:
    shown = accounts.slack_email or "Slack shows no e-mail address"
    return (
        f"<dl><dt>Slack user</dt><dd>{escape(accounts.slack.user)} ({escape(shown)})</dd>"
        f"<dt>Keycloak account</dt><dd>{escape(accounts.username)} ({escape(accounts.email)})</dd></dl>"
    )


def linked_page(link: Link) -> HTMLResponse:
    told = f"Your Slack user is now linked with the Keycloak account {link.username}."
    return _page("Linked", f"<p>{escape(told)} You can close this page.</p>", 200)


def refused_page(text: str, status: int = 403) -> HTMLResponse:
    return _page("Not linked", f"<p>{escape(text)}</p>", status)


def away_page(text: str) -> HTMLResponse:
    return refused_page(f"{text} {AGAIN}", 503)


def confirmed_page(text: str) -> HTMLResponse:
    return _page("Confirmed", f"<p>{escape(text)}</p><p>You can close this page.</p>", 200)


def not_confirmed_page(text: str, status: int = 403) -> HTMLResponse:
    return _page("Not confirmed", f"<p>{escape(text)}</p>", status)
