"""What needs a second person: asked for, agreed to, carried out, told; and the fresh login that some of it wants."""
