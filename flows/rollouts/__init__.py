"""Rollouts watched, promoted and braked. Every resume goes through `promote.Promoter`."""
