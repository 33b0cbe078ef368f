"""Block Kit and mrkdwn as HTML: strings in, strings out, and every foreign text escaped by construction.

What can be acted on carries `data-act` (press, choose, goto), and beside it what `place` says.
"""

from sandbox.page.render.given import Names
from sandbox.page.render.mrkdwn import mrkdwn_html
from sandbox.page.render.views import home_html, message_html, modal_html

__all__ = ["Names", "home_html", "message_html", "modal_html", "mrkdwn_html"]
