"""Copies of the store that can be kept elsewhere, and the way back from one without repeating what was done since."""
