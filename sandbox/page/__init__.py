"""The workspace in a browser: one more client of the Slack stand-in, and a panel on the world around it."""
