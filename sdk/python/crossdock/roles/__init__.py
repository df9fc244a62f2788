"""The three roles, and what destinations can do beside writing."""
