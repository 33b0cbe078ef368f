"""Tenants come and go: into `cdm.yaml` and out of it, and what the store holds of them."""
