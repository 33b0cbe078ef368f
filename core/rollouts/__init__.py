"""Rollouts: what hawkBit claims, what devices prove, and whether the next group may start."""
