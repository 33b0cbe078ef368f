"""The pages a person sees, with the ids and field names of the real ones."""

from __future__ import annotations

from html import escape

from starlette.responses import HTMLResponse

WRONG = "Invalid username or password."
DISABLED = "Account is disabled, contact your administrator."
NO_COOKIE = (
    "Restart login cookie not found. It may have expired; it may have been deleted or cookies are disabled in your "
    "browser. If cookies are disabled then enable them. Click Back to Application to login again."
)
_STYLE = (
    "body{font:16px sans-serif;max-width:24rem;margin:4rem auto;padding:0 1rem}"
    "input,button{display:block;width:100%;padding:.5rem;margin:.3rem 0 1rem;box-sizing:border-box;font:inherit}"
    ".pf-m-error{color:#b1380b}"
)


def page(title: str, heading: str, body: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(
        f"<!DOCTYPE html><html lang=en><head><title>Sign in to {escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><header>{escape(title)}</header><h1>{escape(heading)}</h1>{body}</body></html>",
        status_code=status,
        headers={"Cache-Control": "no-store, must-revalidate, max-age=0", "X-Frame-Options": "SAMEORIGIN"},
    )


def sorry(title: str, why: str) -> HTMLResponse:
    """400, and never a redirect."""
    return page(title, "We are sorry...", f'<p class="instruction">{escape(why)}</p>', status=400)


def login_form(title: str, action: str, *, fixed: str | None, typed: str = "", error: str = "") -> HTMLResponse:
    """`fixed` is the name of a person known already: then there is no field for it."""
    told = f'<span id="input-error-username" class="pf-m-error">{escape(error)}</span>' if error else ""
    if fixed is None:
        who = (
            '<label for="username">Username or email</label>'
            f'<input id="username" name="username" value="{escape(typed)}" type="text" autofocus>'
        )
    else:
        who = (
            f'<input id="kc-attempted-username" value="{escape(fixed)}" readonly>'
            "<p>Please re-authenticate to continue</p>"
        )
    return page(
        title,
        "Sign in to your account",
        f'<form id="kc-form-login" action="{escape(action)}" method="post">{who}{told}'
        '<label for="password">Password</label>'
        '<input id="password" name="password" value="" type="password" autocomplete="current-password">'
        '<input type="hidden" id="id-hidden-input" name="credentialId">'
        '<button name="login" id="kc-login" type="submit">Sign In</button></form>',
    )


def device_form(title: str, action: str, error: str = "") -> HTMLResponse:
    told = f'<span class="pf-m-error">{escape(error)}</span>' if error else ""
    return page(
        title,
        "Device Login",
        f'<form id="kc-user-verify-device-user-code-form" action="{escape(action)}" method="post">{told}'
        '<label for="device_user_code">Enter the code provided by your device and click Submit</label>'
        '<input id="device_user_code" name="device_user_code" value="" type="text" autocomplete="off" autofocus>'
        '<button id="kc-login" type="submit">Submit</button></form>',
    )


def consent_form(title: str, client: str, action: str, code: str) -> HTMLResponse:
    return page(
        title,
        f"Grant Access to {client}",
        f'<p>Do you grant these access privileges?</p><form action="{escape(action)}" method="POST">'
        f'<input type="hidden" name="code" value="{escape(code)}">'
        '<button name="accept" id="kc-login" type="submit">Yes</button>'
        '<button name="cancel" id="kc-cancel" type="submit">No</button></form>',
    )


def device_done(title: str) -> HTMLResponse:
    told = "You may close this browser window and go back to your device."
    return page(title, "Device Login Successful", f"<p>{told}</p>")
