"""What a cluster must do: one folder per area, tests only."""
