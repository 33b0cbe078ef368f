"""Linking a Slack person with a Keycloak account: proven by a login, confirmed by the person, undone by nobody else.

    /cdm link         begin      a state for this (team, user), in the Slack message as our own address
    GET  /link        leave      the state is used up; the browser is marked, and sent to Keycloak to log in
    GET  callback     arrive     who logged in is proven; both accounts are named
    POST confirm      confirm    the two e-mail addresses are one: the link is written
                                 they are not: the page shows a code, and
    /cdm link <code>  redeem     who began types it in Slack: the link is written

That is `browser`; where no browser reaches the bot, `device` takes its place.

Against link phishing (one person starts, another is lured to finish): the state is bound to the Slack person, the login
is asked for anew (`prompt=login`), it must come back to the browser that left, the page names both accounts before
anything is written. Either the Slack profile's e-mail address is the verified one of the account, or who logged in and
who began prove by the code that they are one person: only the browser of the login sees it, only the Slack user who
began may type it, and the page says that whoever else wants it is attacking. A code that somebody else types is void.

What is linked stays so until its owner (`/cdm unlink`) or an admin (`/cdm links revoke`) ends it: neither a Slack user
nor an account is linked with a second one, so an address changed in Slack to somebody else's opens nothing.
"""
