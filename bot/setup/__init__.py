"""What `cdm init` asks, and the files it makes of the answers."""
