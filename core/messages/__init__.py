"""What people read in Slack: text that is only text, and blocks that fit."""
