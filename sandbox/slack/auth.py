"""auth.test."""

from __future__ import annotations

from sandbox.slack.calls import Answer, Call, method


@method("auth.test")
async def test(call: Call) -> Answer:
    workspace = call.sandbox.workspace
    return {
        "url": f"https://{workspace.domain}.slack.com/",
        "team": workspace.domain,
        "user": workspace.users[workspace.bot_user].name,
        "team_id": workspace.team_id,
        "user_id": workspace.bot_user,
        "bot_id": workspace.bot_id,
        "is_enterprise_install": False,
    }
