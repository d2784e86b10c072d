"""What a run found: the pytest plugin, the result file, and the reports made from it."""
