"""Alarms as ThingsBoard tells them, folded without regard to order, and the incidents they belong to."""
