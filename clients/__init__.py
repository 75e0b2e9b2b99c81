"""What people and machines use; holds no rule."""
