"""A Keycloak 26.7 stand-in on the wire: login, tokens and the admin reads, as measured on a real server.

The realm comes from `realm-cdm.json`, the file the real server imports too. What it does not have: brute-force
protection, consent for the code flow, token exchange, writes by the admin API (see `control`).
"""
