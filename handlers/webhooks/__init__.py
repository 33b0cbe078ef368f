"""What other systems tell us: verified, kept on disk, answered."""
