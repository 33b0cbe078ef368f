"""What comes in from Slack: kept durably, acknowledged at once, worked on after."""
