"""The pages of linking a Slack person with a Keycloak account."""
